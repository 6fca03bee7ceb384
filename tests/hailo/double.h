/* Control functions, in C, for the double of HailoRT (double.cc). The environment variable
 * HS_HAILO_DOUBLE names a script in the format of docs/sim.md. Each scan or open of devices reads
 * the script. Its faults have these effects:
 *
 * - none: no device is found. busy: 73. mismatch: 76. These and the next line count opens and
 *   loads.
 * - bad_model: 92. memory: 71. load_fail: 8. load_slow: as in docs/sim.md.
 * - queue_full: the queue has no room. transient: the run ends with 4. error: with 8. late: the run
 *   takes extra_ms longer. hang: the run never ends. A run is one picture.
 * - lost: 62 from all pictures in flight and all calls; opening returns 89 until the loss is over.
 *   The callback of the first run in flight is dropped, because HailoRT was reading its outputs.
 *
 * HS_HAILO_DOUBLE_VERSION and HS_HAILO_DOUBLE_FIRMWARE set the reported versions, for example
 * "5.2.0" (default 5.1.1). HS_HAILO_DOUBLE_RELEASE_MS is the time for which each call that frees
 * something on the chip waits for its reply, as with a chip that has stopped responding on a
 * working link. HS_HAILO_DOUBLE_GROUP is the group of another program that has the device open:
 * opening with another group returns 73.
 *
 * A model file begins with the bytes "\x01HEF". Lines follow: "finds poses" (faces, embeddings),
 * "input HEIGHT WIDTH"; optionally "channels COUNT" (of the input, else 3), "scale FACTOR" (of all
 * outputs), "queue COUNT", "invalid NAME" (this output does not have one scale), "reversed"
 * (reverses the order of the outputs), "order NAME ORDER" (this output's order on the device: FCR,
 * F8CR, NHW, NHCW), "shuffled" (pictures that are due end in random order).
 *
 * With "network FILE.onnx" the tensors are those of that network, computed on the CPU by our own
 * backend in float32, then quantised as on the chip and clamped to the range of their type. Such a
 * file also has "mean R G B", "std R G B", and for each output "output INDEX HEIGHT WIDTH CHANNELS
 * uint8|uint16 SCALE ZERO_POINT", then "sigmoid" if the compiler would add one. INDEX is the
 * output's number in the network; a scale of 0 means that the output does not have one scale.
 * "ranges PATH": when the network is freed, the smallest and largest number of each output are
 * written to that file, one line per output. tests/accuracy/hailort_double.py writes such files. */
#ifndef HS_TESTS_HAILO_DOUBLE_H
#define HS_TESTS_HAILO_DOUBLE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Makes the next `count` calls return this status. Calls: "scan", "create", "read", "configure",
 * "map", "ready", "run", "complete", "temperature". */
void hs_hailo_double_fail(const char *call, int status, int count);

/* Ends hung runs and hung releases. */
void hs_hailo_double_release(void);

/* From now on each call that frees something waits `ms` milliseconds for its reply, or until
 * hs_hailo_double_release(). */
void hs_hailo_double_hang_releases(int ms);

/* Loses the newest device, as with `lost`; it can be opened again at once. */
void hs_hailo_double_lose(void);

/* Returns the number of open devices. */
int hs_hailo_double_open(void);

/* Returns the number of violations of HailoRT's rules since the start, and copies a description of
 * the last one. */
int hs_hailo_double_violations(char *last, size_t size);

/* Returns the number of pictures in flight, including hung ones. *ret_most: the highest number so far. */
int hs_hailo_double_in_flight(int *ret_most);

/* Returns the number of buffers mapped for a device now. *ret_ever: mappings since the start. */
int hs_hailo_double_mapped(int *ret_ever);

/* Copies the group of the newest device. */
void hs_hailo_double_group(char *dst, size_t size);

#ifdef __cplusplus
}
#endif

#endif
