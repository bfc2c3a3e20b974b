UPDATE jobs SET parent_id = {01a1ffde-5c15-7739-90c2-20961cd7e59d} WHERE state = 'failed';
