/* The text of a small pack, for tests with their own files and sources. */
#ifndef HS_TESTS_PACK_TEXT_H
#define HS_TESTS_PACK_TEXT_H

/* Lines 1 to 13; the backends' keys follow. */
#define PACK_HEAD(name)                                                                                                \
    "name: " name "\n"                                                                                                 \
    "task: pose\n"                                                                                                     \
    "title: A pose model for tests\n"                                                                                  \
    "licence:\n"                                                                                                       \
    "  name: MIT\n"                                                                                                    \
    "  url: https://example.org/licence\n"                                                                             \
    "  note: Made up.\n"                                                                                               \
    "input: {width: 64, height: 64, stride: 32}\n"                                                                     \
    "decode: yolo-pose-raw\n"                                                                                          \
    "classes: [person]\n"                                                                                              \
    "keypoints: {dims: 3, names: [a, b, c], edges: [[a, b], [c, b]]}\n"                                                \
    "# scores: as the decoder has them\n"                                                                              \
    "# files\n"

/* SHA-256 of the five bytes "model" and of "other". */
#define SHA_MODEL "9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4"
#define SHA_OTHER "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"

#endif
