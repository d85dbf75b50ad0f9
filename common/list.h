/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * list.h: a circular doubly linked list whose links are part of the members.
 *
 *      head ⇄ member ⇄ member ⇄ head
 *
 * An empty head, and a member that is in no list, point at themselves. The owner of the list locks.
 */
#ifndef UZRAM_COMMON_LIST_H
#define UZRAM_COMMON_LIST_H

#include "common/compiler.h"

struct list {
    struct list *next, *previous;
};

static inline void list_init(struct list *list)
{
    list->next = list->previous = list;
}

static inline bool list_is_empty(const struct list *list)
{
    return list->next == list;
}

static inline void list_add(struct list *head, struct list *member)
{
    member->next = head->next;
    member->previous = head;
    head->next->previous = member;
    head->next = member;
}

static inline void list_remove(struct list *member)
{
    member->next->previous = member->previous;
    member->previous->next = member->next;
    list_init(member);
}

#define list_for_each(position, head) \
    for (struct list *position = (head)->next; position != (head); position = position->next)

#endif
