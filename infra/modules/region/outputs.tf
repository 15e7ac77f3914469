output "queues" {
  description = "ARN and addresses of each queue, by short name."
  value = {
    for name, queue in aws_sqs_queue.work : name => { arn = queue.arn, url = queue.url, dlq_url = aws_sqs_queue.dead[name].url }
  }
}

output "repository_url" {
  description = "Where the image is pushed to."
  value       = aws_ecr_repository.runtime.repository_url
}

output "alarm_topic_arn" {
  description = "Where alarms are published."
  value       = aws_sns_topic.alarms.arn
}
