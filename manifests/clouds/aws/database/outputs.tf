output "vpc" {
  description = "Network from which the database is reached."
  value       = aws_vpc.hello.id
}

output "cidr" {
  description = "Its addresses."
  value       = aws_vpc.hello.cidr_block
}

output "public_subnets" {
  description = "Parts of it for load balancers, one in each zone."
  value       = aws_subnet.public[*].id
}

output "private_subnets" {
  description = "Parts of it for everything else, one in each zone."
  value       = aws_subnet.private[*].id
}

output "host" {
  description = "Name of the database's server."
  value       = aws_db_instance.hello.address
}

output "owner_url" {
  description = "URI of the database with the owner's password. Its certificate is checked with RDS' authorities, see docs/clouds.md."
  value       = "postgres://${aws_db_instance.hello.username}:${var.owner_password}@${aws_db_instance.hello.address}:5432/${aws_db_instance.hello.db_name}?sslmode=verify-full"
  sensitive   = true
}
