#include "../unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "vision/coco_pose.h"

/* The edges in the order of the HTTP contract. */
static const char edges[] = "15-13 13-11 16-14 14-12 11-12 5-11 6-12 5-6 5-7 6-8 7-9 8-10 1-2 0-1 0-2 1-3 2-4 3-5 4-6";

static void edges_are_those_of_the_contract(void **state)
{
    (void) state;
    const char *text = edges;
    for (int i = 0; i < HS_COCO_EDGES; i++) {
        char edge[16];
        int len = snprintf(edge, sizeof(edge), "%d-%d", hs_coco_edges[i].from, hs_coco_edges[i].to);
        assert_memory_equal(text, edge, (size_t) len);
        text += len + (i + 1 < HS_COCO_EDGES);
    }
    assert_string_equal(text, "");
}

/* Names, edges and colours agree: a line between two left points has the left colour, and so on. */
static void colours_follow_sides(void **state)
{
    (void) state;
    for (int i = 0; i < HS_COCO_EDGES; i++) {
        const struct hs_coco_edge *edge = &hs_coco_edges[i];
        if (edge->from < 7 && edge->to < 7)
            continue; /* head and shoulders */
        const char *from = hs_coco_keypoint_names[edge->from], *to = hs_coco_keypoint_names[edge->to];
        bool trunk = strstr(from, "shoulder") || strstr(from, "hip");
        trunk = trunk && strstr(to, "hip");
        assert_true(trunk || from[0] == to[0]);
        if (!trunk)
            assert_memory_equal(edge->rgb, hs_coco_keypoint_rgb[edge->to], 3);
    }
    for (int i = 1; i < HS_COCO_KEYPOINTS; i++) {
        const char *side = i % 2 ? "left_" : "right_";
        assert_memory_equal(hs_coco_keypoint_names[i], side, strlen(side));
        assert_true(hs_coco_sigmas[i] == hs_coco_sigmas[i % 2 ? i + 1 : i - 1]);
    }
    assert_string_equal(hs_coco_keypoint_names[0], "nose");
    assert_string_equal(hs_coco_keypoint_names[16], "right_ankle");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edges_are_those_of_the_contract),
        cmocka_unit_test(colours_follow_sides),
    };
    return HS_RUN_TESTS(tests);
}
