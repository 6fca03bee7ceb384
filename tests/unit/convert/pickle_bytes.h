/* Pickles for tests, built from string literals, because a pickle is mostly text. */
#ifndef HS_TESTS_PICKLE_BYTES_H
#define HS_TESTS_PICKLE_BYTES_H

/* A short string; its length is an escape: TEXT("\3", "cpu"). */
#define TEXT(len, text) "X" len "\0\0\0" text
#define GLOBAL(module, name) "c" module "\n" name "\n"

/* A persistent id: class `kind` of module torch; numbers are escapes. */
#define STORAGE(kind, key, count)                                                                                      \
    "(" TEXT("\7", "storage") GLOBAL("torch", kind) TEXT("\1", key) TEXT("\3", "cpu") "K" count "tQ"

/* A tensor as PyTorch writes it; size and stride are tuples in opcodes: "K\2K\3\x86". */
#define TENSOR(kind, key, count, offset, size, stride)                                                                 \
    GLOBAL("torch._utils", "_rebuild_tensor_v2")                                                                       \
    "(" STORAGE(kind, key, count) "K" offset size stride "\x89" GLOBAL("collections", "OrderedDict") ")RtR"

#endif
