variable "project" {
  description = "Project in which everything is made."
  type        = string
}

variable "region" {
  description = "Region, such as europe-west4."
  type        = string
}

variable "owner_password" {
  description = "Password of the owner's role in the database. `openssl rand -hex 24` makes one."
  type        = string
  sensitive   = true
}

variable "deletion_protection" {
  description = "Whether service, job and database cannot be destroyed. Set it to false, apply, and destroy then."
  type        = bool
  default     = true
}

variable "image" {
  description = "Image of hello-app, in a registry from which Cloud Run pulls (Artifact Registry). Later ones are brought by `deploy`."
  type        = string
}

variable "host" {
  description = "Name of the host. It has to point to the output `address`, which Google needs before it issues the certificate."
  type        = string
}

variable "app_password" {
  description = "Password of the role hello_app, with which the service reads and writes."
  type        = string
  sensitive   = true

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{24,}$", var.app_password))
    error_message = "Use at least 24 letters, digits, - and _, which need no escaping in a URI."
  }
}

variable "max_instances" {
  description = "Most instances at once. Each has seven connections to the database."
  type        = number
  default     = 10
}
