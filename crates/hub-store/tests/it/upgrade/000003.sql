INSERT INTO learned_times (what, subject, server_id, value, samples, updated_at)
  VALUES ('run', '01a1ffddef15706aa9bfb94dbd50e20f/-4', {01a1ffdd-ef36-7506-8d12-cb88f8808ed5}, 1.2018012770000013, 1, 1795294127145);
UPDATE jobs SET pinned_server_id = {01a1ffdd-ef36-7506-8d12-cb88f8808ed5} WHERE state = 'queued';
