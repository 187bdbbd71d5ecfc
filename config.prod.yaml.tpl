# Production: envsubst < config.prod.yaml.tpl > config.yaml, then start with CONFIG_PATH=config.yaml.
# DATABASE_URL, APP_URL and SECRET_KEY are needed; REDIS_URL and CUSTOMER_DATABASE_URL may be empty.
# Single quotes, because YAML then takes every character as it is, backslashes included, save the single quote itself.
server:
  app_url: '${APP_URL}'
  host: '0.0.0.0'
  secret_key: '${SECRET_KEY}'
database:
  platform_url: '${DATABASE_URL}'
  customer_url: '${CUSTOMER_DATABASE_URL}'
redis:
  url: '${REDIS_URL}'
observability:
  log_format: 'json'
