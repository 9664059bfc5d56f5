# A cluster of GKE beside Cloud SQL, and the address and the bucket that a HelloService uses.

terraform {
  required_version = ">= 1.6"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 8.7"
    }
  }
}

provider "google" {
  project = var.project
  region  = var.region
}

module "database" {
  source              = "../database"
  region              = var.region
  owner_password      = var.owner_password
  deletion_protection = var.deletion_protection
}

resource "google_project_service" "container" {
  service            = "container.googleapis.com"
  disable_on_destroy = false
}

# Autopilot: nodes in three zones that Google runs, and NetworkPolicies that are enforced.
resource "google_container_cluster" "hello" {
  name                = "hello"
  location            = var.region
  enable_autopilot    = true
  network             = module.database.network
  subnetwork          = module.database.subnetwork
  deletion_protection = var.deletion_protection
  depends_on          = [google_project_service.container]

  ip_allocation_policy {}

  gateway_api_config {
    channel = "CHANNEL_STANDARD"
  }

  private_cluster_config {
    enable_private_nodes = true
  }
}

# Nodes without addresses of their own pull images through this.
resource "google_compute_router" "hello" {
  name    = "hello"
  region  = var.region
  network = module.database.network
}

resource "google_compute_router_nat" "hello" {
  name                               = "hello"
  router                             = google_compute_router.hello.name
  region                             = var.region
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "ALL_SUBNETWORKS_ALL_IP_RANGES"
}

# Where the Gateway of hello.yaml is reached. The name of the host has to point to it.
resource "google_compute_global_address" "gateway" {
  name       = "hello"
  depends_on = [google_project_service.container]
}
