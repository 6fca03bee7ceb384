/* What a test may ask of the double of HailoRT (double.cc), in C. Besides, the environment variable HS_HAILO_DOUBLE
 * names a script in the format of docs/sim.md, which is read whenever devices are looked for or opened:
 *
 * - none: no device is found. busy: 73. mismatch: 76. All of opens and loads, like the following.
 * - bad_model: 92. memory: 71. load_fail: 8. load_slow: as there.
 * - queue_full: there is no room in the queue. transient: the run ends with 4. error: with 8. late: it takes extra_ms
 *   longer. hang: it never ends. A run is one picture.
 * - lost: 62 from all that is under way and all calls; opening gives 89 until it is over. The first run under way is
 *   not told: HailoRT was reading its outputs, and drops its callback.
 *
 * HS_HAILO_DOUBLE_VERSION and HS_HAILO_DOUBLE_FIRMWARE are the versions that it tells, "5.2.0"; without them 5.1.1.
 * HS_HAILO_DOUBLE_RELEASE_MS is how long each call that frees something on the chip waits for its reply, as with a chip
 * that has stopped answering while the link stays up. HS_HAILO_DOUBLE_GROUP is the group of another program that has
 * the device open: who names another one gets 73.
 *
 * A model file begins with the bytes "\x01HEF"; then come lines: "finds poses" (faces, embeddings), "input HEIGHT
 * WIDTH"; if wanted "channels COUNT" (of the input, else 3), "scale FACTOR" (of all outputs), "queue COUNT", "invalid
 * NAME" (that output has no one scale), "reversed" (outputs in another order), "order NAME ORDER" (that output's order
 * on the device: FCR, F8CR, NHW, NHCW), "shuffled" (pictures that are due end in any order).
 *
 * With "network FILE.onnx" the tensors are true: those of that network, computed on the processor by our own backend in
 * float32, then quantised as the chip would, cut to the range of their type. Such a file also has "mean R G B", "std R
 * G B", and for each output "output INDEX HEIGHT WIDTH CHANNELS uint8|uint16 SCALE ZERO_POINT", then "sigmoid" where
 * the compiler would put one; INDEX is the output's number in the network, a scale of 0 means that there is no one
 * scale. "ranges PATH": when the network is let go, each output's smallest and largest number are written there, a line
 * an output. tests/accuracy/standin.py writes such files. */
#ifndef HS_TESTS_HAILO_DOUBLE_H
#define HS_TESTS_HAILO_DOUBLE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The next `count` calls give this status. Calls: "scan", "create", "read", "configure", "map", "ready", "run",
 * "complete", "temperature". */
void hs_hailo_double_fail(const char *call, int status, int count);

/* Hung runs and hung releases end now. */
void hs_hailo_double_release(void);

/* From now on each call that frees something waits so long for its reply, or until hs_hailo_double_release(). */
void hs_hailo_double_hang_releases(int ms);

/* The newest device is lost now, as with `lost`, and can be opened again at once. */
void hs_hailo_double_lose(void);

/* Devices that are open. */
int hs_hailo_double_open(void);

/* How often HailoRT's rules were broken since the start, and how the last time. */
int hs_hailo_double_violations(char *last, size_t size);

/* Pictures that are under way, hung ones included, and the most there ever were at once. */
int hs_hailo_double_in_flight(int *ret_most);

/* Buffers that are mapped for a device now, and how often one was since the start. */
int hs_hailo_double_mapped(int *ret_ever);

/* Of the newest device: its group. */
void hs_hailo_double_group(char *dst, size_t size);

#ifdef __cplusplus
}
#endif

#endif
