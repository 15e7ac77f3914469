output "s1_subscription_key_arn" {
  description = "The secret of Sentinel-1's token endpoint."
  value       = aws_secretsmanager_secret.s1_subscription_key.arn
}

output "s1_subscription_key_name" {
  description = "Name of that secret."
  value       = aws_secretsmanager_secret.s1_subscription_key.name
}
