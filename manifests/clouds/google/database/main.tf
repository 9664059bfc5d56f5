# Cloud SQL for PostgreSQL in two zones, reached by a private address only.

terraform {
  required_version = ">= 1.6"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 8.7"
    }
  }
}

resource "google_project_service" "apis" {
  for_each           = toset(["compute.googleapis.com", "servicenetworking.googleapis.com", "sqladmin.googleapis.com"])
  service            = each.key
  disable_on_destroy = false
}

resource "google_compute_network" "hello" {
  name                    = var.name
  auto_create_subnetworks = false
  depends_on              = [google_project_service.apis]
}

resource "google_compute_subnetwork" "hello" {
  name                     = var.name
  region                   = var.region
  network                  = google_compute_network.hello.id
  ip_cidr_range            = "10.10.0.0/20"
  private_ip_google_access = true
}

# Where Google's own network, with the database in it, gets its addresses.
resource "google_compute_global_address" "services" {
  name          = "${var.name}-services"
  purpose       = "VPC_PEERING"
  address_type  = "INTERNAL"
  prefix_length = 20
  network       = google_compute_network.hello.id
}

resource "google_service_networking_connection" "services" {
  network                 = google_compute_network.hello.id
  service                 = "servicenetworking.googleapis.com"
  reserved_peering_ranges = [google_compute_global_address.services.name]
}

resource "google_sql_database_instance" "hello" {
  name                = var.name
  region              = var.region
  database_version    = "POSTGRES_18"
  deletion_protection = var.deletion_protection
  depends_on          = [google_service_networking_connection.services]

  settings {
    edition           = "ENTERPRISE"
    tier              = var.tier
    availability_type = "REGIONAL"
    disk_autoresize   = true

    backup_configuration {
      enabled                        = true
      point_in_time_recovery_enabled = true
    }

    ip_configuration {
      ipv4_enabled    = false
      private_network = google_compute_network.hello.id
      ssl_mode        = "ENCRYPTED_ONLY"
    }
  }
}

resource "google_sql_database" "hello" {
  name     = "hello"
  instance = google_sql_database_instance.hello.name
}

# The owner of the schema: it migrates, and makes the roles of the application and of the backups.
resource "google_sql_user" "owner" {
  name     = "hello_owner"
  instance = google_sql_database_instance.hello.name
  password = var.owner_password
}
