"""What is provisioned: clusters, databases, caches."""

from provisioning.models.clusters import Cluster
from provisioning.models.databases import Database, NoPlace
from provisioning.models.names import new_prefix, random_word
from provisioning.models.provisioned import Provisioned

__all__ = ["Cluster", "Database", "NoPlace", "Provisioned", "new_prefix", "random_word"]
