INSERT INTO admins (id, name, password, created_at, updated_at)
  VALUES ({01a1ffde-68ab-7530-a58a-ef3bd6aee1aa}, 'admin', '$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$ZmFrZWZha2VmYWtlZmFrZWZha2VmYWtlZmFrZWZha2U', 1795294128299, 1795294128299);
INSERT INTO sessions (token_hash, admin_id, created_at, seen_at)
  VALUES ('2m3Pz0zgvk_QJrKGYhwCTxng4FzikOZGA2u4GQxCzP6', {01a1ffde-68ab-7530-a58a-ef3bd6aee1aa}, 1795294128299, 1795294128299);
INSERT INTO api_keys (id, name, prefix, hash, rights, created_at, expires_at, last_used_at, revoked_at)
  VALUES ({01a1ffde-68ab-7530-a58a-ef3bd6aee10a}, 'bot', 'gih_TWk9z3', 'pZO0zgvk_QJrKGYhwCTxng4FzikOZGA2u4GQxCzP61A', '{"scopes":["generate","describe"],"tools":[],"render_types":[],"rate_per_minute":null,"images_per_day":null,"gpu_seconds_per_day":null,"weight":1.0}', 1795294128299, NULL, NULL, NULL);
INSERT INTO audit_log (id, created_at, actor, act, subject, address)
  VALUES ({01a1ffde-5c5c-7409-9ee4-8ff7cc6e6cc8}, 1795294125148, 'local', 'PUT /api/v1/caller-weights', NULL, '127.0.0.1');
