"""The driver of the accelerator, over whatever carries its registers."""
