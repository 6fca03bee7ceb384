#include "backends/hailo/status.h"

#include <stddef.h>

#include "base/mem.h"

struct meaning {
    int status, code;
    const char *sentence;
};

/* A restart does not cut the board's power and does not reload its firmware. */
#define CUT_POWER "shut down and cut the power (a restart does not)"
#define LOST "the connection to the Hailo device was lost; it is opened again by itself; if it stays away, " CUT_POWER
#define VERSIONS                                                                                                       \
    "Hailo's driver, firmware and library are of different versions; install all of them from one "                    \
    "release (package hailo-h10-all), then " CUT_POWER
#define BAD_FILE "the model file is damaged or cut short; pull it again"
#define OTHER_FILE                                                                                                     \
    "this HailoRT cannot run the model file, which was compiled for another version; pull the one for "                \
    "the version that is installed"
#define IN_USE "another program has the Hailo device for itself; end it, or let it share the device in the same group"

static const struct meaning meanings[] = {
    { 3, HS_ENOMEM,
      "this machine has no memory left for the Hailo device; lower inference.slots or device.batch_size, "
      "or end other programs" },
    { 4, HS_ETRANSIENT,
      "the Hailo device did not answer in time; try again, and if it stays so, end "
      "other programs that use it" },
    { 6, HS_ETRANSIENT,
      "the Hailo device refused at this moment, as it does when another program uses it at the same "
      "time; try again" },
    { 26, HS_EMODEL, OTHER_FILE },
    { 36, HS_ELOST,
      "the Hailo driver refused; check that this user may open the node; after an upgrade, or if the "
      "link is dead, " CUT_POWER },
    { HS_HAILO_CLOSED, HS_ELOST, LOST },
    { HS_HAILO_ABORTED, HS_ELOST, LOST },
    { 71, HS_ENOMEM, "the Hailo device has no memory left; unload other models, or end other programs that use it" },
    { 73, HS_EINUSE, IN_USE },
    { 74, HS_EINUSE, IN_USE },
    { 76, HS_EVERSION, VERSIONS },
    { 77, HS_ELOST, LOST },
    { 81, HS_ENOMEM,
      "this machine has no contiguous memory (CMA) left for the Hailo device; restart it, or give CMA "
      "more" },
    { 85, HS_EVERSION, VERSIONS },
    { 86, HS_EVERSION, VERSIONS },
    { 87, HS_ELOST, LOST },
    { 89, HS_ELOST,
      "the Hailo device is there but its own system does not answer; give it half a minute to start, "
      "else " CUT_POWER },
    { 91, HS_EMODEL, BAD_FILE },
    { 92, HS_EMODEL, OTHER_FILE },
    { 93, HS_EMODEL, "the model file was compiled for another kind of Hailo device; pull the one for the Hailo-10H" },
    { 96, HS_ELOST, LOST },
    { 97, HS_EINUSE,
      "the Hailo device is not to be had at this moment, as when another program starts or ends with "
      "it; try again" },
};

/* Statuses with another meaning in one step. */
static const struct {
    enum hs_hailo_step step;
    struct meaning meaning;
} special[] = {
    { HS_HAILO_OPEN, { 2, HS_ENODEVICE, "there is no Hailo device of that id; see inference.device_id" } },
    { HS_HAILO_LOAD, { 7, HS_EMODEL, OTHER_FILE } },
    { HS_HAILO_LOAD, { 13, HS_EMODEL, "the model file cannot be opened; check that it is there and may be read" } },
    { HS_HAILO_LOAD, { 14, HS_EMODEL, BAD_FILE } },
};

static const struct meaning *find(int status, enum hs_hailo_step step)
{
    static const struct meaning other = { -1, HS_EDEVICE,
                                          "the Hailo device failed; if it stays so, restart the "
                                          "service, then the machine" };
    static const struct meaning no_health = { -1, HS_EDEVICE,
                                              "the Hailo device did not tell its temperature, which "
                                              "does no harm by itself" };
    if (step == HS_HAILO_HEALTH && status != HS_HAILO_CLOSED)
        return &no_health;
    for (size_t i = 0; i < HS_ARRAY_LEN(special); i++)
        if (special[i].step == step && special[i].meaning.status == status)
            return &special[i].meaning;
    for (size_t i = 0; i < HS_ARRAY_LEN(meanings); i++)
        if (meanings[i].status == status)
            return &meanings[i];
    return &other;
}

int hs_hailo_fail(int status, enum hs_hailo_step step, const char *name, struct hs_error *err)
{
    if (status == HS_HAILO_SUCCESS)
        return 0;
    const struct meaning *meaning = find(status, step);
    return hs_error_set(err, meaning->code, "%s" HS_DETAIL "%s, %d", meaning->sentence,
                        name ? name : "unknown to HailoRT", status);
}
