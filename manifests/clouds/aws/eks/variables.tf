variable "region" {
  description = "Region, such as eu-central-1."
  type        = string
}

variable "owner_password" {
  description = "Password of the owner's role in the database. `openssl rand -hex 24` makes one."
  type        = string
  sensitive   = true
}

variable "bucket" {
  description = "Name of the bucket for backups. It has to be unique in all of AWS."
  type        = string
}

variable "deletion_protection" {
  description = "Whether the database cannot be destroyed. Set it to false, apply, and destroy then."
  type        = bool
  default     = true
}
