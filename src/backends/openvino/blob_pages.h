/* Memory of compiled models that were read from the cache folder. */
#ifndef HS_BACKENDS_OPENVINO_BLOB_PAGES_H
#define HS_BACKENDS_OPENVINO_BLOB_PAGES_H

/* OpenVINO maps a cached model into memory, copies the weights out of it in the order that the processor wants, and
 * keeps the mapping. This gives the mapped pages of files below `cache_dir` back to the kernel; whoever looks at one
 * again gets it from the file. Saves the weights' size for each loaded model. NULL: no cache, nothing is done. */
void hs_openvino_release_blobs(const char *cache_dir);

#endif
