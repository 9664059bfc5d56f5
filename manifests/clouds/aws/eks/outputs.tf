output "cluster" {
  description = "Command that makes kubectl use the cluster."
  value       = "aws eks update-kubeconfig --name ${aws_eks_cluster.hello.name} --region ${var.region}"
}

output "backup_role" {
  description = "Role of the pods of backups, for the annotation in hello.yaml."
  value       = aws_iam_role.backup.arn
}

output "owner_url" {
  description = "URI of the database, for the Secret that hello.yaml names."
  value       = module.database.owner_url
  sensitive   = true
}
