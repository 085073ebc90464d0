"""The dataset builder: from a folder of documents or code to checked examples that a teacher model wrote."""
