/*
 * mg_priority.h: how the scheduler treats the calling thread.
 *
 * The event loop works for microseconds at a time and everybody waits for it;
 * a job computes for as long as it is let.  Nice alone does not keep the two
 * apart: it says who gets more of a core, not who gets it first, and since
 * Linux 6.6 (EEVDF) a thread that has begun its slice of some milliseconds
 * ends it before one that wakes up is looked at.  A thread that asks for
 * short slices is let in at once (Linux 6.12); no right is needed for it.
 *
 * Of the calling thread alone, on Linux; any thread; does not block.
 */

#ifndef MG_PRIORITY_H
#define MG_PRIORITY_H


/*
 * Asks for the shortest slices: for threads that are seldom at work, and soon
 * done.  1: they were granted; 0: this kernel knows none, or the thread has a
 * policy other than SCHED_OTHER, which stays.  Nice stays as it is.  Threads
 * that it starts later have the usual slices, and no nice below 0.  Source:
 * sched_setattr(2), sched_runtime and SCHED_FLAG_RESET_ON_FORK.
 */
int mg_priority_prompt(void);

/*
 * MG_PRIORITY_NICE above the nice of the process's first thread, which is the
 * event loop, for good: who is not root gets no higher priority back.  A
 * thread that was started by a lowered one comes no lower.  Ten give it a
 * tenth of the weight of others.  Less is not enough: who has just been at
 * work and wakes up again is let in if it has waited for longer than it
 * worked times the ratio of weights, and the event loop is often back soon.
 */
#define MG_PRIORITY_NICE   10

void mg_priority_lower(void);


#endif /* MG_PRIORITY_H */
