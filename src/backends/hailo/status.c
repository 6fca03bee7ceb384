#include "backends/hailo/status.h"

#include <stddef.h>

#include "base/mem.h"

struct meaning {
    int status, code;
    const char *sentence;
};

/* A restart does not cut the board's power and does not reload its firmware. */
#define CUT_POWER "shut down and cut the power (a restart is not enough)"
#define LOST                                                                                                           \
    "the connection to the Hailo device was lost; it is reopened automatically; if that keeps failing, " CUT_POWER
#define VERSIONS                                                                                                       \
    "Hailo's driver, firmware and library have different versions; install all of them from one "                      \
    "release (package hailo-h10-all), then " CUT_POWER
#define BAD_FILE "the model file is damaged or truncated; pull it again"
#define OTHER_FILE "the model file was compiled for another version of HailoRT; pull the one for the installed version"
#define IN_USE                                                                                                         \
    "another program has exclusive use of the Hailo device; stop it, or let both open it in one group (device.group)"

static const struct meaning meanings[] = {
    { 3, HS_ENOMEM,
      "this machine has no memory left for the Hailo device; lower inference.slots or device.batch_size, or stop other "
      "programs" },
    { 4, HS_ETRANSIENT,
      "the Hailo device did not respond in time; try again; if it persists, stop other programs that use the device" },
    { 6, HS_ETRANSIENT,
      "the Hailo device refused the request, which happens while another program uses it; try again" },
    { 26, HS_EMODEL, OTHER_FILE },
    { 36, HS_ELOST,
      "the Hailo driver refused access; check that this user may open the device node; after an upgrade, or if the "
      "link is down, " CUT_POWER },
    { HS_HAILO_CLOSED, HS_ELOST, LOST },
    { HS_HAILO_ABORTED, HS_ELOST, LOST },
    { 71, HS_ENOMEM, "the Hailo device has no memory left; unload other models, or stop other programs that use it" },
    { 73, HS_EINUSE, IN_USE },
    { 74, HS_EINUSE, IN_USE },
    { 76, HS_EVERSION, VERSIONS },
    { 77, HS_ELOST, LOST },
    { 81, HS_ENOMEM,
      "this machine has no contiguous memory (CMA) left for the Hailo device; restart it, or increase CMA" },
    { 85, HS_EVERSION, VERSIONS },
    { 86, HS_EVERSION, VERSIONS },
    { 87, HS_ELOST, LOST },
    { 89, HS_ELOST,
      "the Hailo device is present but its firmware does not respond; wait 30 seconds until it has started, "
      "else " CUT_POWER },
    { 91, HS_EMODEL, BAD_FILE },
    { 92, HS_EMODEL, OTHER_FILE },
    { 93, HS_EMODEL, "the model file was compiled for another kind of Hailo device; pull the one for the Hailo-10H" },
    { 96, HS_ELOST, LOST },
    { 97, HS_EINUSE,
      "the Hailo device is not available now, which happens while another program opens or closes it; try again" },
};

/* Statuses with another meaning in one step. */
static const struct {
    enum hs_hailo_step step;
    struct meaning meaning;
} special[] = {
    { HS_HAILO_OPEN, { 2, HS_ENODEVICE, "no Hailo device with this id; correct inference.device_id" } },
    { HS_HAILO_LOAD, { 7, HS_EMODEL, OTHER_FILE } },
    { HS_HAILO_LOAD, { 13, HS_EMODEL, "cannot open the model file; check that it exists and is readable" } },
    { HS_HAILO_LOAD, { 14, HS_EMODEL, BAD_FILE } },
};

static const struct meaning *find(int status, enum hs_hailo_step step)
{
    static const struct meaning other = {
        -1, HS_EDEVICE, "the Hailo device failed; if it persists, restart the service, then the machine"
    };
    static const struct meaning no_health = {
        -1, HS_EDEVICE, "cannot read the temperature of the Hailo device; inference is not affected"
    };
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
    return hs_error_set(err, meaning->code, "%s" HS_DETAIL "%s, %d", meaning->sentence, name ? name : "unknown status",
                        status);
}
