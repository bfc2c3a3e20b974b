#!/usr/bin/env bash
# Asks every operation of the OpenAPI document for what it says it takes, and for what it does not, and holds the
# answers against it: run.sh SCHEMATHESIS HUB_URL KEY
set -euo pipefail
# It leaves what it learned in the folder it runs in.
cd "$(mktemp -d)"
# Streams never end, and a backup is as long as the data is large: their formats have tests of their own. The models
# of an LLM server that does not exist are no fault of the hub's, which rightly says 503.
exec "$1" run "$2/api/v1/openapi.json" \
  --header "Authorization: Bearer $3" \
  --exclude-path /api/v1/events --exclude-path-regex '/events$' --exclude-path /api/v1/backup \
  --exclude-path '/api/v1/llm-servers/{id}/models' \
  --phases examples,coverage,fuzzing --max-examples "${OPENAPI_EXAMPLES:-15}" --seed "${OPENAPI_SEED:-1}" \
  --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
  --warnings off --request-timeout 30 --continue-on-failure --no-color
