variable "name" {
  description = "What all names begin with."
  type        = string
}

variable "control_bucket" {
  description = "Name of the bucket of requests, receipts and plans."
  type        = string
}

variable "outputs_bucket" {
  description = "Name of the bucket of tiles."
  type        = string
}

variable "table" {
  description = "Name of the status table."
  type        = string
}

variable "inbox_queue_arn" {
  description = "The queue that is told of requests; it lies in this region and lets the control bucket send."
  type        = string
}

variable "disposable" {
  description = "Whether destroy may delete what holds data."
  type        = bool
}
