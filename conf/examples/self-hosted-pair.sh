#!/bin/bash
#
# The group "assistant" for self-hosted-pair.conf: the new server gets 1 % of
# the requests for an hour, then 10 % and 50 % for a day each.  Look at it with
# GET /api/v1/model-groups/assistant; POST .../promote makes it the champion,
# POST .../rollback takes that back.

set -eu
. "$(dirname "$0")/api.sh"

provider server-a '{
    "name": "Server A", "protocol": "openai",
    "base_url": "'"${SERVER_A:-http://10.0.0.11:8000}"'/v1",
    "timeouts": {"connect_ms": 2000, "read_ms": 120000}}'

provider server-b '{
    "name": "Server B", "protocol": "openai",
    "base_url": "'"${SERVER_B:-http://10.0.0.12:8000}"'/v1",
    "timeouts": {"connect_ms": 2000, "read_ms": 120000}}'

model server-a/llama-3.1-8b-instruct '{
    "name": "Llama 3.1 8B", "type": "chat"}'

model server-b/llama-3.3-70b-instruct '{
    "name": "Llama 3.3 70B", "type": "chat"}'

group assistant '{
    "description": "The small one, and the large one that may follow it",
    "strategy": "canary", "status": "active",
    "traffic_config": {"canary": {"steps": [
        {"percentage": 1, "minutes": 60},
        {"percentage": 10, "minutes": 1440},
        {"percentage": 50}]}}}'

members assistant '[
    {"model_id": "server-a/llama-3.1-8b-instruct", "role": "champion",
     "traffic_percentage": 100},
    {"model_id": "server-b/llama-3.3-70b-instruct", "role": "challenger",
     "traffic_percentage": 0}]'
