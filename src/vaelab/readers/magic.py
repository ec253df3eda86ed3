"""What files that hold no text begin with."""

SQLITE = b"SQLite format 3\0"
ZIP = b"PK\x03\x04"
PARQUET = b"PAR1"
WANDB = b":W&B\xe1\xbe"
