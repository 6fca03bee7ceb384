/* First line: server.trusted_proxies; the others: values of X-Forwarded-For. The client is always the
 * canonical text of an address. */
#include <stdlib.h>
#include <string.h>

#include "http/proxy.h"
#include "text.h"

enum { VALUES_MAX = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_client(const char *client)
{
    struct hs_address address;
    char text[HS_ADDRESS_TEXT_SIZE];
    if (!hs_address_parse(client, &address))
        abort();
    hs_address_write(&address, text);
    if (strcmp(text, client) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char peer[] = "192.0.2.1";
    struct hs_proxies proxies;
    struct hs_error err;
    char *lines = hs_fuzz_text(data, len), *next = lines, client[HS_ADDRESS_SIZE];
    const char *values[VALUES_MAX];
    size_t count = 0;
    const char *list = strsep(&next, "\n");
    while (next && count < VALUES_MAX)
        values[count++] = strsep(&next, "\n");
    int r = hs_proxies_init(&proxies, list, &err);
    if (r < 0 && (r != HS_EINVAL || !err.message[0]))
        abort();
    if (r == 0) {
        hs_proxies_find_client(&proxies, peer, values, count, client);
        check_client(client);
        hs_proxies_finish(&proxies);
    }
    free(lines);
    return 0;
}
