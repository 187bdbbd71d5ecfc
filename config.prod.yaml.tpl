# Production: envsubst < config.prod.yaml.tpl > config.yaml, then start with CONFIG_PATH=config.yaml.
# DATABASE_URL, APP_URL and SECRET_KEY are needed; REDIS_URL and CUSTOMER_DATABASE_URL may be empty. Behind a proxy or
# load balancer, set TRUSTED_PROXIES to its networks, or all callers share one client's limits.
# Single quotes, because YAML then takes every character as it is, backslashes included, save the single quote itself.
server:
  app_url: '${APP_URL}'
  host: '0.0.0.0'
  secret_key: '${SECRET_KEY}'
database:
  platform_url: '${DATABASE_URL}'
  customer_url: '${CUSTOMER_DATABASE_URL}'
# Tenants' caches go to the Redis of CUSTOMER_REDIS_URL where that is set; docs/caches.md says why it should be.
redis:
  url: '${REDIS_URL}'
# How often strangers may call. docs/limits.md says what each limit is; `off` lifts one.
limits:
  requests: '10/s burst 20'
  provisions: '5/d'
  captures: '50/s burst 200'
# An inbox keeps so many requests of up to server.max_body_bytes each; docs/operations.md says what that may come to.
webhooks:
  requests_stored: 100
observability:
  log_format: 'json'
