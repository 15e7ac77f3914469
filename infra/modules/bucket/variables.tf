variable "name" {
  description = "Name of the bucket."
  type        = string
}

variable "replaced_days" {
  description = "How long a version is kept that is no longer current."
  type        = number
}

variable "disposable" {
  description = "Whether destroy may delete the bucket with what is in it."
  type        = bool
}
