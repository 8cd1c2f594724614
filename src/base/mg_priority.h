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


/* The event loop; less is taken for that much. */
#define MG_PRIORITY_LOOP_US   100

/* A call that somebody waits for: the event loop is let in before it. */
#define MG_PRIORITY_CALL_US   300

/*
 * Asks for slices of so many microseconds: for threads that are seldom at
 * work and soon done.  1: they were granted; 0: this kernel knows none, or the
 * thread has a policy other than SCHED_OTHER, which stays.  Nice stays as it
 * is.  Threads that it starts later have the usual slices, and no nice below
 * 0.  Source: sched_setattr(2), sched_runtime and SCHED_FLAG_RESET_ON_FORK.
 */
int mg_priority_prompt(unsigned us);

/*
 * MG_PRIORITY_NICE above the nice of the process's first thread, which is the
 * event loop, for good: who is not root gets no higher priority back.  A
 * thread that was started by a lowered one comes no lower.  Ten give it a
 * tenth of the weight of others.  Less is not enough: who has just been at
 * work and wakes up again is let in if it has waited for longer than it
 * worked times the ratio of weights, and the event loop is often back soon.
 * Its slices become longer than the usual ones, for the sake of those who have
 * these: the database, say, on the same core, which then is let in at once.
 * A thread that asks for short slices later has these.  And it is a batch from
 * now on: when it wakes up it does not go before who is at work.
 */
#define MG_PRIORITY_NICE   10

void mg_priority_lower(void);

/*
 * For loops of a lowered thread, a step of some microseconds: now and then it
 * lets those in who wait, as long as it has its share of the core.  Of another
 * thread nothing.
 */
void mg_priority_breathe(void);


#endif /* MG_PRIORITY_H */
