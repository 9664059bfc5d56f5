output "address" {
  description = "Name that the name of the host has to point to (CNAME)."
  value       = aws_lb.hello.dns_name
}

output "network" {
  description = "Where `deploy` runs the migration."
  value       = "awsvpcConfiguration={subnets=[${join(",", module.database.private_subnets)}],securityGroups=[${aws_security_group.app.id}]}"
}
