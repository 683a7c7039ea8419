"""Links of a stream's labels to other systems: MQTT with Home Assistant, and webhooks."""
