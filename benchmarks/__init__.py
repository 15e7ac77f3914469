"""What is claimed about speed, measured. Ratios within one run count; single times of a busy machine do not."""
