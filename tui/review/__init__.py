"""What Review does behind its screen: the queue, judging, bulks, the editor, drafts."""
