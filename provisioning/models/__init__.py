"""What is provisioned: clusters, databases, caches."""

from provisioning.models.caches import Cache, installation_prefix
from provisioning.models.clusters import Cluster
from provisioning.models.databases import Database, NoPlace
from provisioning.models.names import new_prefix, random_word
from provisioning.models.provisioned import Provisioned

__all__ = ["Cache", "Cluster", "Database", "NoPlace", "Provisioned", "installation_prefix", "new_prefix", "random_word"]
