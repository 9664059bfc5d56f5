output "network" {
  description = "Network from which the database is reached."
  value       = google_compute_network.hello.id
}

output "subnetwork" {
  description = "Part of it in the region."
  value       = google_compute_subnetwork.hello.id
}

output "host" {
  description = "Address of the database's server."
  value       = google_sql_database_instance.hello.private_ip_address
}

output "authority" {
  description = "Certificate authority of the server, in PEM."
  value       = google_sql_database_instance.hello.server_ca_cert[0].cert
}

output "owner_url" {
  description = "URI of the database with the owner's password. The certificates of Cloud SQL name no host, so it is not compared."
  value       = "postgres://${google_sql_user.owner.name}:${var.owner_password}@${google_sql_database_instance.hello.private_ip_address}:5432/${google_sql_database.hello.name}?sslmode=verify-ca"
  sensitive   = true
}
