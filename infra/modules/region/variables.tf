variable "name" {
  description = "What all names begin with."
  type        = string
}

variable "region" {
  description = "The region of the provider."
  type        = string
}

variable "account" {
  description = "The account's number."
  type        = string
}

variable "partition" {
  description = "First part of ARNs after arn."
  type        = string
}

variable "queues" {
  description = "The queues of this region, by short name; a bucket may be allowed to send."
  type = map(object({
    max_receives       = number
    retention_seconds  = number
    visibility_seconds = number
    oldest_seconds     = number
    sender_bucket_arn  = optional(string)
  }))
}

variable "functions" {
  description = "The functions of this region, by short name; each has a queue or a schedule."
  type = map(object({
    handler          = string
    queue            = optional(string)
    schedule_minutes = optional(number)
    memory_mb        = number
    timeout_seconds  = number
    max_concurrency  = number
    batch_size       = number
  }))

  validation {
    condition     = alltrue([for function in var.functions : function.timeout_seconds >= 1 && function.timeout_seconds <= 900])
    error_message = "Expected a timeout of 1 to 900 seconds for every function."
  }
  validation {
    condition     = alltrue([for function in var.functions : function.memory_mb >= 128 && function.memory_mb <= 10240])
    error_message = "Expected 128 to 10240 MB for every function."
  }
  validation {
    condition = alltrue([
      for function in var.functions : function.queue == null || (function.max_concurrency >= 2 && function.max_concurrency <= 1000)
    ])
    error_message = "Expected a concurrency of 2 to 1000 for every function that a queue feeds."
  }
  validation {
    condition     = alltrue([for function in var.functions : (function.queue == null) != (function.schedule_minutes == null)])
    error_message = "Expected every function to have either a queue or a schedule."
  }
  validation {
    condition     = alltrue([for function in var.functions : function.queue == null || contains(keys(var.queues), coalesce(function.queue, "-"))])
    error_message = "Expected the queue of every function in the function's own region."
  }
}

variable "workers" {
  description = "Which functions make tiles, and tell causes of failure in their logs."
  type        = set(string)
}

variable "environments" {
  description = "Variables of each function."
  type        = map(map(string))
}

variable "permissions" {
  description = "What each function may do besides draining its queue and writing its log."
  type = map(list(object({
    sid        = string
    actions    = list(string)
    resources  = list(string)
    conditions = optional(map(map(list(string))))
  })))
}

variable "image_tag" {
  description = "Tag or digest of the functions' image."
  type        = string
}

variable "functions_enabled" {
  description = "Whether queues and schedules feed the functions."
  type        = bool
}

variable "disposable" {
  description = "Whether destroy may delete the repository with its images."
  type        = bool
}

variable "alarm_emails" {
  description = "Who is told of alarms."
  type        = set(string)
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
}
