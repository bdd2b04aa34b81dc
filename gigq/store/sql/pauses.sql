-- The queues that are paused.

-- name: pause_queue
INSERT INTO gigq_pauses (queue, paused_at) VALUES (:queue, :now) ON CONFLICT (queue) DO NOTHING;

-- name: resume_queue
DELETE FROM gigq_pauses WHERE queue = :queue;

-- name: pauses
SELECT queue, paused_at FROM gigq_pauses ORDER BY queue;
