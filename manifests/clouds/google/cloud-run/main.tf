# The app alone on Cloud Run, with Cloud SQL, a job for migrations, and a load balancer with a certificate of Google's.
# `deploy` brings the next versions: migrate, start without traffic, try, switch.

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

locals {
  # The certificate authority of the database is mounted beside the URIs that name it.
  checked = "sslmode=verify-ca&sslrootcert=/database/authority/pem"
  secrets = {
    owner-url    = "postgres://hello_owner:${var.owner_password}@${module.database.host}:5432/hello?${local.checked}"
    app-url      = "postgres://hello_app:${var.app_password}@${module.database.host}:5432/hello?${local.checked}"
    app-password = var.app_password
    authority    = module.database.authority
  }
  # Which of them each account may read, and as which file.
  files = {
    migration = { owner-url = "url", app-password = "password", authority = "pem" }
    app       = { app-url = "url", authority = "pem" }
  }
  folder = { owner-url = "/database/owner", app-url = "/database/app", app-password = "/database/password", authority = "/database/authority" }
  grants = merge([for account, files in local.files : { for secret in keys(files) : "${account}/${secret}" => { account = account, secret = secret } }]...)
}

module "database" {
  source              = "../database"
  region              = var.region
  owner_password      = var.owner_password
  deletion_protection = var.deletion_protection
}

resource "google_project_service" "apis" {
  for_each           = toset(["run.googleapis.com", "secretmanager.googleapis.com"])
  service            = each.key
  disable_on_destroy = false
}

resource "google_service_account" "parts" {
  for_each   = local.files
  account_id = "hello-${each.key}"
}

resource "google_secret_manager_secret" "hello" {
  for_each   = toset(["owner-url", "app-url", "app-password", "authority"])
  secret_id  = "hello-${each.key}"
  depends_on = [google_project_service.apis]

  replication {
    auto {}
  }
}

resource "google_secret_manager_secret_version" "hello" {
  for_each    = google_secret_manager_secret.hello
  secret      = each.value.id
  secret_data = local.secrets[each.key]
}

resource "google_secret_manager_secret_iam_member" "readers" {
  for_each  = local.grants
  secret_id = google_secret_manager_secret.hello[each.value.secret].id
  role      = "roles/secretmanager.secretAccessor"
  member    = "serviceAccount:${google_service_account.parts[each.value.account].email}"
}

# `deploy` runs it before a version gets traffic.
resource "google_cloud_run_v2_job" "migration" {
  name                = "hello-migration"
  location            = var.region
  deletion_protection = var.deletion_protection
  depends_on          = [google_secret_manager_secret_iam_member.readers, google_secret_manager_secret_version.hello]

  template {
    template {
      service_account = google_service_account.parts["migration"].email
      max_retries     = 0
      timeout         = "3600s"

      containers {
        image = var.image
        args  = ["migrate"]

        env {
          name  = "DATABASE_URL_FILE"
          value = "/database/owner/url"
        }
        env {
          name  = "HELLO_APP_ROLE_PASSWORD_FILE"
          value = "/database/password/password"
        }

        dynamic "volume_mounts" {
          for_each = local.files.migration
          content {
            name       = volume_mounts.key
            mount_path = local.folder[volume_mounts.key]
          }
        }
      }

      dynamic "volumes" {
        for_each = local.files.migration
        content {
          name = volumes.key
          secret {
            secret = google_secret_manager_secret.hello[volumes.key].secret_id
            items {
              path    = volumes.value
              version = "latest"
            }
          }
        }
      }

      vpc_access {
        egress = "PRIVATE_RANGES_ONLY"
        network_interfaces {
          network    = module.database.network
          subnetwork = module.database.subnetwork
        }
      }
    }
  }

  lifecycle {
    ignore_changes = [template[0].template[0].containers[0].image, client, client_version]
  }
}

resource "google_cloud_run_v2_service" "hello" {
  name                = "hello"
  location            = var.region
  ingress             = "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
  deletion_protection = var.deletion_protection
  depends_on          = [google_secret_manager_secret_iam_member.readers, google_secret_manager_secret_version.hello]

  template {
    service_account                  = google_service_account.parts["app"].email
    max_instance_request_concurrency = 250
    timeout                          = "30s"

    scaling {
      min_instance_count = 1
      max_instance_count = var.max_instances
    }

    containers {
      image = var.image
      args  = ["serve"]

      # Cloud Run sets PORT, which the program honours.
      ports {
        container_port = 8080
      }

      env {
        name  = "DATABASE_URL_FILE"
        value = "/database/app/url"
      }

      dynamic "volume_mounts" {
        for_each = local.files.app
        content {
          name       = volume_mounts.key
          mount_path = local.folder[volume_mounts.key]
        }
      }

      resources {
        limits = { cpu = "1", memory = "512Mi" }
      }

      # A first instance waits for the migration: it has no traffic before it is ready.
      startup_probe {
        period_seconds    = 2
        failure_threshold = 30
        http_get {
          path = "/readyz"
          port = 9090
        }
      }
      liveness_probe {
        http_get {
          path = "/livez"
          port = 9090
        }
      }
    }

    dynamic "volumes" {
      for_each = local.files.app
      content {
        name = volumes.key
        secret {
          secret = google_secret_manager_secret.hello[volumes.key].secret_id
          items {
            path    = volumes.value
            version = "latest"
          }
        }
      }
    }

    vpc_access {
      egress = "PRIVATE_RANGES_ONLY"
      network_interfaces {
        network    = module.database.network
        subnetwork = module.database.subnetwork
      }
    }
  }

  # Versions and traffic are `deploy`'s.
  lifecycle {
    ignore_changes = [template[0].containers[0].image, template[0].revision, traffic, client, client_version]
  }
}

# The API asks for tokens itself where it is told to (docs/auth.md).
resource "google_cloud_run_v2_service_iam_member" "everybody" {
  name     = google_cloud_run_v2_service.hello.name
  location = var.region
  role     = "roles/run.invoker"
  member   = "allUsers"
}
