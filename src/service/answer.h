/* Answers as JSON text, written without a tree of it, within a bound. */
#ifndef HS_SERVICE_ANSWER_H
#define HS_SERVICE_ANSWER_H

#include "base/buf.h"
#include "base/json_writer.h"
#include "http/request.h"

enum {
    HS_ANSWER_MAX = 16 << 20,      /* bytes of one answer's text, of which a batch's are one */
    HS_ANSWERS_HELD_MAX = 64 << 20 /* bytes of results of batches that wait to be sent, of all requests together */
};

/* The server's JSON in one line: HS_JSON_SPACED or HS_JSON_SORTED. */
enum hs_json_style hs_answer_style(const struct hs_http_request *req);

/* Answers 200 with the text, which it takes out of the buffer. */
void hs_answer_reply(struct hs_http_request *req, struct hs_buf *text);

/* Fills err for a text that could not be written: `code` is the buffer's error. Returns code. */
int hs_answer_failed(int code, struct hs_error *err);

#endif
