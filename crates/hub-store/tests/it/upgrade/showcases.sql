INSERT INTO showcases (job_id, subject, look, created_at)
  VALUES ({01a1ffde-5c15-7739-90c2-20961cd7e59d}, {01a1ffdd-ef28-76f3-8ecb-eee025c4e26d}, '864f135b1052d869c753903bc3abd20430017bdb951942fec1deb781c4e106b6', 1795294128299);
