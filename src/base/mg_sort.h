/*
 * mg_sort.h: sorts large arrays without touching the heap.
 *
 * As qsort(), whose C library takes room for a second copy of the array from
 * malloc(): for a hundred thousand things that is megabytes, which the heap
 * of the thread then keeps.  Here it is a block (mg_block.h).  What is in
 * order already is seen and costs one pass.  Equals stay as they are.
 *
 * Any thread; never blocks.
 */

#ifndef MG_SORT_H
#define MG_SORT_H

#include <stddef.h>


typedef int (*mg_sort_cmp_pt)(const void *one, const void *two);


/* n elements of size bytes.  Cannot fail: without memory it is qsort(). */
void mg_sort(void *base, size_t n, size_t size, mg_sort_cmp_pt cmp);


#endif /* MG_SORT_H */
