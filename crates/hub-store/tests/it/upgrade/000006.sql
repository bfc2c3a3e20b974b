UPDATE servers SET gpu = 'box-1';
UPDATE llm_servers SET gpu = 'box-1';
