"""What each training method learns from: answers (sft), preference pairs (dpo), or answers with a thumb (kto)."""
