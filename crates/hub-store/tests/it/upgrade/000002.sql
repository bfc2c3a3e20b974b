INSERT INTO server_overrides (server_id, workflow, compatible)
  VALUES ({01a1ffdd-ef36-7506-8d12-cb88f8808ed5}, 'smoke', FALSE);
