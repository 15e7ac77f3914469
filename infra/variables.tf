variable "env" {
  description = "Which deployment this is; everything is called ttc-<env>-..."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,11}$", var.env))
    error_message = "Expected 2 to 12 lower-case letters and digits, a letter first, such as dev."
  }
}

variable "image_tag" {
  description = "Image of all functions, in the ECR repository of each region: a tag (the commit), or a digest sha256:..."
  type        = string

  validation {
    condition     = can(regex("^(sha256:[0-9a-f]{64}|[A-Za-z0-9_][A-Za-z0-9._-]{0,127})$", var.image_tag)) && var.image_tag != "latest"
    error_message = "Expected a tag that never moves, such as the commit, or a digest sha256:<64 hex digits>; not latest."
  }
}

variable "git_sha" {
  description = "Commit that the image was built from, for the provenance of outputs; the image's tag unless given."
  type        = string
  default     = null
  nullable    = true
}

variable "functions_enabled" {
  description = "Whether queues and schedules feed the functions; false is the brake for everything at once."
  type        = bool
  default     = true
}

variable "disposable" {
  description = "Whether destroy may delete buckets, images and the table together with what is in them."
  type        = bool
  default     = false
}

variable "further_dests" {
  description = "Destinations s3://bucket/prefix in the home region that requests may name besides the outputs bucket."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for dest in var.further_dests : can(regex("^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^/*?]+)+$", dest))])
    error_message = "Expected every destination as s3://bucket/prefix, without a slash at its end."
  }
}

variable "settings" {
  description = "Variables of functions that differ from their defaults in ard/settings.py, such as TTC_S2_MOST_DATES."
  type        = map(string)
  default     = {}

  validation {
    condition = alltrue([
      for name in keys(var.settings) : contains(flatten(local.list.functions[*].environment), name)
    ])
    error_message = "Expected names that a function of functions.json lists in its environment."
  }
  validation {
    condition     = alltrue([for name in keys(var.settings) : !contains(local.given_names, name)])
    error_message = "Expected none of the variables that follow from what is deployed."
  }
}

variable "alarm_emails" {
  description = "Who is told of alarms; each address confirms one subscription per region."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.alarm_emails : can(regex("^[^@\\s]+@[^@\\s]+$", address))])
    error_message = "Expected e-mail addresses."
  }
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 90

  validation {
    condition     = contains([7, 14, 30, 60, 90, 120, 150, 180, 365], var.log_retention_days)
    error_message = "Expected a number of days that CloudWatch knows: 7, 14, 30, 60, 90, 120, 150, 180 or 365."
  }
}

variable "oldest_message_hours" {
  description = "How long a request or a task may wait before an alarm says so: longer than the largest job's queue lasts."
  type        = number
  default     = 12

  validation {
    condition     = var.oldest_message_hours >= 1 && var.oldest_message_hours < 14 * 24
    error_message = "Expected 1 hour or more, and less than the 14 days that a queue keeps messages."
  }
}
