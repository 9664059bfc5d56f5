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
  description = "Whether cluster and database cannot be destroyed. Set it to false, apply, and destroy then."
  type        = bool
  default     = true
}
