/* A double of HailoRT: the functions that the Hailo backend uses, on a simulated device (double.h).
 * It behaves like HailoRT: callbacks run on one thread per device, pictures in flight are not
 * cancelled, a run that cannot be started kills its network, and a lost connection stays lost. It
 * also checks that its user follows HailoRT's rules: each violation is printed and counted. */
#include "double.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <hailo/infer_model.hpp>

extern "C" {
#include "backends/sim/face.h"
#include "backends/sim/person.h"
#include "backends/sim/state.h"
#include "backends/sim/tensor_write.h"
#include "backends/sim/vector.h"
#include "base/clock.h"
#include "base/str.h"
#include "hs/backend.h"
#include "infer/registry.h"
}

#define EXPORT __attribute__((visibility("default")))

using InjectedFailures = std::map<std::string, std::pair<hailo_status, int>>;
using Callback = std::function<void(const hailort::AsyncInferCompletionInfo &)>;

namespace
{

enum { CONNECTION_REFUSED = 89, DEFAULT_QUEUE = 16 };

struct Tensor {
    hs_tensor_desc native;
    hailo_format_type_t type;
    hailo_format_order_t order, device_order;
    bool valid;         /* one scale for the whole tensor */
    size_t padding = 0; /* bytes of a frame beyond its shape */
};

/* One output of a network with real numbers: its index in the network's outputs, and its quantisation. */
struct Head {
    int index;
    hs_tensor_desc desc;
    bool sigmoid;
};

/* A network that computes real numbers: the same network on the CPU, through our own backend, in
 * float32. Only the callback thread uses it. */
struct Network {
    const hs_backend *backend = nullptr;
    hs_device *device = nullptr;
    hs_model *model = nullptr;
    std::string ranges_path;
    std::vector<std::pair<float, float>> ranges; /* smallest and largest number of each head */

    Network() = default;
    Network(const Network &) = delete;
    Network &operator=(const Network &) = delete;
    ~Network();
};

struct Hef {
    hs_output_kind output_kind = HS_OUTPUT_POSES;
    int h = 0, w = 0, c = 3;
    size_t queue = DEFAULT_QUEUE;
    bool shuffled = false;
    std::string network_path, ranges_path;
    float mean[3] = { 0, 0, 0 }, std[3] = { 1, 1, 1 };
    std::vector<Head> heads; /* only with real numbers */
    std::shared_ptr<Network> network;
    std::vector<std::shared_ptr<hailort::Stream>> outputs;
    std::vector<std::string> names;
};

/* A device as opened by one user: a connection and a thread that reads from it, as in HailoRT. */
struct Link {
    hs_sim_state *sim;
    int index;
    unsigned losses;
    std::atomic<int> networks{ 0 };
    pthread_t thread;
    int fd = -1;
    bool callback_dropped =
        false; /* the link was lost, and the callback of the run whose outputs were being read was dropped */
    bool closed = false;
};

/* A configured network. */
struct State {
    std::shared_ptr<Link> link;
    Hef hef;                           /* with the formats at the time of configure() */
    std::vector<hs_tensor_desc> descs; /* in the order in which the rule fills them */
    bool shut = false, failed = false;
    size_t in_flight = 0;
};

struct Job {
    std::shared_ptr<hailort::Bound> bound;
    Callback callback;
    int64_t due_ns;
    hailo_status status;
    uint64_t hash;
};

} // namespace

namespace hailort
{

struct Stream {
    Tensor tensor;
    bool is_input;
};

struct Bound {
    std::shared_ptr<State> state;
    std::vector<uint8_t *> buffers; /* the outputs, then the input */
    bool in_flight = false;
};

struct Running {
    std::shared_ptr<State> state;
    ~Running();
};

} // namespace hailort

using namespace hailort;

/* Lives as long as the process, because other threads may outlive main(). */
static struct Double {
    pthread_mutex_t lock =
        PTHREAD_MUTEX_INITIALIZER; /* guards all members; the lock of a simulation is taken after it */
    pthread_cond_t changed;
    std::vector<Job> *jobs = new std::vector<Job>;
    InjectedFailures *fails = new InjectedFailures;
    char group[64] = "";
    int in_flight = 0, most = 0, mapped = 0, mapped_ever = 0, open = 0;
    int64_t release_ms = 0;      /* time for which a call that frees something waits for its reply */
    hs_sim_state *sim = nullptr; /* state of the newest device */
    int index = 0;
    std::atomic<int> violations{ 0 };
    char last[200] = "";
    Double()
    {
        const char *ms = getenv("HS_HAILO_DOUBLE_RELEASE_MS");
        hs_cond_init(&changed);
        release_ms = ms ? strtoll(ms, nullptr, 10) : 0;
    }
} &d = *new Double;

/* Set for a thread that is inside a callback. (Not thread_local, because LeakSanitizer does not
 * support it in a library that was opened by dlopen.) */
static const pthread_key_t in_callback = [] {
    pthread_key_t key;
    if (pthread_key_create(&key, nullptr) != 0)
        abort();
    return key;
}();

struct Guard {
    Guard()
    {
        pthread_mutex_lock(&d.lock);
    }
    ~Guard()
    {
        pthread_mutex_unlock(&d.lock);
    }
};

static void violation(const char *what)
{
    d.violations++;
    hs_str_copy(d.last, sizeof(d.last), what);
    fprintf(stderr, "double of HailoRT: rule broken: %s\n", what);
}

static void check_not_in_callback(const char *call)
{
    if (pthread_getspecific(in_callback))
        violation((std::string(call) + " was called from a callback").c_str());
}

/* HailoRT reads these variables when it is loaded. */
__attribute__((constructor)) static void check_environment()
{
    const char *path = getenv("HAILORT_LOGGER_PATH"), *level = getenv("HAILORT_CONSOLE_LOGGER_LEVEL");
    if (!path || !level)
        violation("HailoRT was loaded before its logs were turned off");
}

static hailo_status injected(const char *call)
{
    auto found = d.fails->find(call);
    if (found == d.fails->end() || found->second.second == 0)
        return HAILO_SUCCESS;
    found->second.second--;
    return found->second.first;
}

/* ---- Simulation ---- */

struct SimGuard {
    hs_sim_state *sim;
    explicit SimGuard(hs_sim_state *of) : sim(of)
    {
        pthread_mutex_lock(&sim->lock);
    }
    ~SimGuard()
    {
        pthread_mutex_unlock(&sim->lock);
    }
};

static hs_sim_state *find_sim()
{
    hs_sim_state *sim = nullptr;
    hs_error err = {};
    const char *path = getenv("HS_HAILO_DOUBLE");
    if (hs_sim_state_find(path && path[0] ? path : nullptr, &sim, &err) < 0) {
        fprintf(stderr, "double of HailoRT: %s\n", err.message);
        abort();
    }
    return sim;
}

/* The functions below are called with the state's lock held. */
static bool loses_device(hs_sim_state *sim, int index)
{
    hs_sim_advance(sim, index);
    return hs_sim_take_fault(sim, index, HS_SIM_LOST, sim->devices[index].runs);
}

static bool is_lost(const Link &link)
{
    hs_sim_advance(link.sim, link.index);
    return link.sim->devices[link.index].losses != link.losses;
}

/* Called by functions that free something. Waits for the reply of a chip that has stopped
 * responding; does not wait for a lost one. */
static void await_release(const Link &link, const char *call)
{
    check_not_in_callback(call);
    Guard guard;
    int64_t deadline_ns = hs_deadline_in_ms(d.release_ms);
    auto answers = [&] {
        SimGuard sim_guard(link.sim);
        return d.release_ms == 0 || is_lost(link);
    };
    while (!answers() && hs_cond_wait_until(&d.changed, &d.lock, deadline_ns) == 0)
        continue;
}

static hailo_status apply_setup_faults(hs_sim_state *sim, int index)
{
    int64_t number = ++sim->devices[index].setups;
    if (hs_sim_take_fault(sim, index, HS_SIM_BUSY, number))
        return HAILO_DEVICE_IN_USE;
    if (hs_sim_take_fault(sim, index, HS_SIM_MISMATCH, number))
        return HAILO_INVALID_DRIVER_VERSION;
    return HAILO_SUCCESS;
}

static hailo_status apply_load_script(const Link &link)
{
    SimGuard guard(link.sim);
    hs_sim_state *sim = link.sim;
    if (loses_device(sim, link.index) || is_lost(link))
        return HAILO_COMMUNICATION_CLOSED;
    hailo_status status = apply_setup_faults(sim, link.index);
    if (status != HAILO_SUCCESS)
        return status;
    int64_t number = ++sim->devices[link.index].loads;
    const hs_sim_fault *slow = hs_sim_take_fault(sim, link.index, HS_SIM_LOAD_SLOW, number);
    if (slow && !hs_sim_sleep(sim, link.index, link.losses, hs_deadline_in_ms(static_cast<int64_t>(slow->extra_ms))))
        return HAILO_COMMUNICATION_CLOSED;
    return hs_sim_take_fault(sim, link.index, HS_SIM_BAD_MODEL, number)   ? HAILO_HEF_NOT_SUPPORTED
           : hs_sim_take_fault(sim, link.index, HS_SIM_MEMORY, number)    ? HAILO_OUT_OF_FW_MEMORY
           : hs_sim_take_fault(sim, link.index, HS_SIM_LOAD_FAIL, number) ? HAILO_INTERNAL_FAILURE
                                                                          : HAILO_SUCCESS;
}

/* ---- Memory ---- */

static size_t page_size()
{
    return static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

static size_t whole_pages(size_t bytes)
{
    return (bytes + page_size() - 1) / page_size() * page_size();
}

static bool is_mapped(uint8_t *start, size_t bytes)
{
    return msync(start, whole_pages(bytes), MS_ASYNC) == 0;
}

static uint64_t hash_of(const uint8_t *data, size_t len)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i + 8 <= len; i += 8) {
        uint64_t word;
        memcpy(&word, data + i, 8);
        hash = (hash ^ word) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static size_t type_size(hailo_format_type_t type)
{
    return type == HAILO_FORMAT_TYPE_FLOAT32 ? 4 : type == HAILO_FORMAT_TYPE_UINT16 ? 2 : 1;
}

static size_t frame_size(const Tensor &tensor)
{
    return static_cast<size_t>(tensor.native.h) * static_cast<size_t>(tensor.native.w) *
               static_cast<size_t>(tensor.native.c) * type_size(tensor.type) +
           tensor.padding;
}

static size_t input_size(const State &state)
{
    return static_cast<size_t>(state.hef.h) * static_cast<size_t>(state.hef.w) * 3;
}

static size_t buffer_size(const State &state, size_t index)
{
    return index < state.hef.outputs.size() ? frame_size(state.hef.outputs[index]->tensor) : input_size(state);
}

/* ---- Outputs ---- */

/* Converts outputs of the CPU's network to those of the chip: grids cell by cell, clamped to the
 * range of their type. A row of the export (one anchor) is a part of a cell, so its numbers are
 * already in the same order. */
static void quantise(const Head &head, const hs_tensor_desc &from, const void *data, const hs_tensor_desc &to,
                     void *ret, std::pair<float, float> *range)
{
    hs_tensor_view view = hs_tensor_view_of(&from, data);
    size_t count = static_cast<size_t>(to.h) * static_cast<size_t>(to.w) * static_cast<size_t>(to.c);
    for (size_t i = 0; i < count; i++) {
        int cell = static_cast<int>(i / static_cast<size_t>(to.c)), c = static_cast<int>(i) % to.c;
        float value = from.layout == HS_LAYOUT_ROWS ? static_cast<const float *>(data)[i]
                                                    : hs_tensor_get(&view, cell / to.w, cell % to.w, c);
        if (head.sigmoid)
            value = 1 / (1 + std::exp(-value));
        range->first = std::min(range->first, value);
        range->second = std::max(range->second, value);
        hs_sim_tensor_set(&to, ret, i, value);
    }
}

static void fill_from_network(const State &state, const std::vector<void *> &data)
{
    Network *network = state.hef.network.get();
    const hs_model_info *info = network->backend->info(network->model);
    for (size_t i = 0; i < state.hef.heads.size(); i++) {
        const Head &head = state.hef.heads[i];
        quantise(head, info->outputs[head.index], network->backend->output(network->model, 0, 0, head.index),
                 state.descs[i], data[i], &network->ranges[i]);
    }
}

static void fill_outputs(const Bound &bound)
{
    const State &state = *bound.state;
    size_t count = state.hef.outputs.size();
    const uint8_t *picture = bound.buffers[count];
    std::vector<void *> data(count);
    for (size_t i = 0; i < count; i++) {
        /* Maps the rule's order to the network's, which may differ. */
        auto same = [&](const std::shared_ptr<Stream> &stream) {
            return strcmp(stream->tensor.native.name, state.descs[i].name) == 0;
        };
        auto at = std::find_if(state.hef.outputs.begin(), state.hef.outputs.end(), same);
        data[i] = bound.buffers[static_cast<size_t>(at - state.hef.outputs.begin())];
    }
    if (state.hef.network) {
        fill_from_network(state, data);
        return;
    }
    hs_sim_blob blobs[HS_SIM_MAX_BLOBS];
    if (state.hef.output_kind == HS_OUTPUT_EMBEDDINGS) {
        hs_sim_vector_fill(&state.descs[0], picture, state.hef.h, state.hef.w, data[0]);
        return;
    }
    int found = hs_sim_blobs_find(picture, state.hef.h, state.hef.w, blobs);
    if (state.hef.output_kind == HS_OUTPUT_POSES)
        hs_sim_person_fill(state.descs.data(), blobs, found, data.data());
    else
        hs_sim_face_fill(state.descs.data(), blobs, found, data.data());
}

/* A device may write up to the end of a buffer's last page. This also overwrites the input of a
 * finished picture, so that a test fails if the next picture does not write all of it. */
static void overwrite_page_tails(const Bound &bound)
{
    for (size_t i = 0; i < bound.state->hef.outputs.size(); i++) {
        size_t bytes = buffer_size(*bound.state, i);
        memset(bound.buffers[i] + bytes, 0xA5, whole_pages(bytes) - bytes);
    }
    memset(bound.buffers.back(), 0xA5, input_size(*bound.state));
}

/* Overwrites the outputs of a run when it starts. From then on the device may write to them at any
 * moment, so a test that still reads the previous answer fails. */
static void poison_outputs(const Bound &bound)
{
    for (size_t i = 0; i < bound.state->hef.outputs.size(); i++)
        memset(bound.buffers[i], 0xA5, buffer_size(*bound.state, i));
}

/* ---- The thread that runs the callbacks ---- */

static bool is_due(Job &job, int64_t now_ns)
{
    const Link &link = *job.bound->state->link;
    SimGuard guard(link.sim);
    if (link.closed || is_lost(link))
        job.status = HAILO_COMMUNICATION_CLOSED;
    else if (job.bound->state->failed)
        job.status = HAILO_STREAM_ABORT;
    else
        return now_ns >= job.due_ns;
    return true;
}

static bool is_still_mapped(const Bound &bound)
{
    bool there = true;
    for (size_t i = 0; i < bound.buffers.size(); i++)
        there = there && is_mapped(bound.buffers[i], buffer_size(*bound.state, i));
    return there;
}

/* Runs the network on a copy of the picture. Releases the lock meanwhile, because this takes long. */
static void compute(Job &job)
{
    const State &state = *job.bound->state;
    Network *network = state.hef.network.get();
    if (!network || job.status != HAILO_SUCCESS || !is_still_mapped(*job.bound))
        return;
    hs_error err = {};
    memcpy(network->backend->input(network->model, 0), job.bound->buffers.back(), input_size(state));
    pthread_mutex_unlock(&d.lock);
    int r = network->backend->submit(network->model, 0, 1, &err);
    if (r == 0)
        r = network->backend->wait(network->model, 0, HS_NO_DEADLINE, &err);
    pthread_mutex_lock(&d.lock);
    if (r != 0) {
        fprintf(stderr, "double of HailoRT: %s\n", err.message);
        job.status = HAILO_INTERNAL_FAILURE;
    }
}

static void finish(Job &job)
{
    Bound &bound = *job.bound;
    bool there = is_still_mapped(bound);
    if (!there)
        violation("a buffer was freed while the device had it");
    else if (job.hash != hash_of(bound.buffers.back(), input_size(*bound.state)))
        violation("a picture was written to while the device had it");
    else if (job.status == HAILO_SUCCESS)
        fill_outputs(bound);
    if (there)
        overwrite_page_tails(bound);
    bound.in_flight = false;
    bound.state->in_flight--;
    d.in_flight--;
    pthread_cond_broadcast(&d.changed);
}

/* Returns the first job of the link that is due; for a shuffled network, a random one that is due.
 * If none is due, returns the end iterator and sets *ret_next_ns to the time of the next check. */
static std::vector<Job>::iterator choose_due(const Link *link, int64_t *ret_next_ns)
{
    static uint32_t chance = 1;
    int64_t now_ns = hs_clock_now_ns();
    uint32_t due = 0;
    auto chosen = d.jobs->end();
    *ret_next_ns = d.jobs->empty() ? HS_NO_DEADLINE : now_ns + 5 * HS_NS_PER_MS;
    for (auto job = d.jobs->begin(); job != d.jobs->end(); ++job) {
        if (job->bound->state->link.get() != link)
            continue;
        if (!is_due(*job, now_ns)) {
            *ret_next_ns = std::min(*ret_next_ns, job->due_ns);
            continue;
        }
        chance = chance * 1664525 + 1013904223;
        if (due++ == 0 || (job->bound->state->hef.shuffled && (chance >> 8) % due == 0))
            chosen = job;
    }
    return chosen;
}

/* Returns false if the job's callback must be dropped. When the link breaks, HailoRT drops the
 * callback of the run whose outputs it is reading, without calling it. It calls all others. */
static bool must_call_back(const Job &job, Link *link)
{
    bool delivered = job.status != HAILO_COMMUNICATION_CLOSED || link->closed || link->callback_dropped;
    link->callback_dropped = link->callback_dropped || !delivered;
    return delivered;
}

/* Called with the lock held. Releases it meanwhile, because the destructor of a dropped callback
 * may call the double too. */
static void run_callback(Job &job, bool delivered)
{
    pthread_mutex_unlock(&d.lock);
    pthread_setspecific(in_callback, &job);
    if (delivered)
        job.callback(AsyncInferCompletionInfo(job.status));
    job.callback = nullptr;
    pthread_setspecific(in_callback, nullptr);
    job.bound.reset();
    pthread_mutex_lock(&d.lock);
}

static void *run_callbacks(void *arg)
{
    auto *link = static_cast<Link *>(arg);
    pthread_mutex_lock(&d.lock);
    for (;;) {
        int64_t next_ns;
        auto job = choose_due(link, &next_ns);
        if (job == d.jobs->end() && link->closed)
            break;
        if (job == d.jobs->end()) {
            hs_cond_wait_until(&d.changed, &d.lock, next_ns);
            continue;
        }
        Job due = std::move(*job);
        d.jobs->erase(job);
        compute(due);
        finish(due);
        run_callback(due, must_call_back(due, link));
    }
    pthread_mutex_unlock(&d.lock);
    return nullptr;
}

/* Returns the version in this environment variable; 5.1.1 if it is not set. */
static hailo_version_t version_of(const char *variable)
{
    const char *text = getenv(variable);
    hailo_version_t version = { 5, 1, 1 };
    char dot;
    if (text && text[0])
        std::istringstream(text) >> version.major >> dot >> version.minor >> dot >> version.revision;
    return version;
}

/* ---- C functions ---- */

extern "C" {

EXPORT hailo_status hailo_get_library_version(hailo_version_t *version)
{
    *version = version_of("HS_HAILO_DOUBLE_VERSION");
    return HAILO_SUCCESS;
}

EXPORT const char *hailo_get_status_message(hailo_status status)
{
    if (status < 0 || status > 97)
        return nullptr;
    static std::string names[98];
    Guard guard;
    if (names[status].empty())
        names[status] = "HAILO_DOUBLE_" + std::to_string(status);
    return names[status].c_str();
}

EXPORT hailo_status hailo_scan_devices(hailo_scan_devices_params_t *, hailo_device_id_t *ids, size_t *count)
{
    check_not_in_callback("hailo_scan_devices");
    Guard guard;
    hailo_status status = injected("scan");
    if (status != HAILO_SUCCESS)
        return status;
    hs_sim_state *sim = find_sim();
    SimGuard sim_guard(sim);
    size_t found = 0;
    for (int i = 0; i < sim->script.devices && found < *count; i++)
        if (!hs_sim_take_fault(sim, i, HS_SIM_NONE, sim->devices[i].setups + 1))
            hs_str_format(ids[found++].id, sizeof(ids[0].id), "0000:%02d:00.0", i + 1);
    *count = found;
    return HAILO_SUCCESS;
}

EXPORT hailo_status hailo_init_vdevice_params(hailo_vdevice_params_t *params)
{
    *params = { 1, nullptr, HAILO_SCHEDULING_ALGORITHM_ROUND_ROBIN, "UNIQUE", false };
    return HAILO_SUCCESS;
}

EXPORT hailo_status hailo_is_qp_valid(const hailo_quant_info_t quant_info, bool *is_qp_valid)
{
    *is_qp_valid = quant_info.qp_scale > 0;
    return HAILO_SUCCESS;
}

EXPORT void hs_hailo_double_fail(const char *call, int status, int count)
{
    Guard guard;
    (*d.fails)[call] = { static_cast<hailo_status>(status), count };
}

EXPORT void hs_hailo_double_release()
{
    Guard guard;
    for (Job &job : *d.jobs)
        job.due_ns = 0;
    d.release_ms = 0;
    pthread_cond_broadcast(&d.changed);
}

EXPORT void hs_hailo_double_hang_releases(int ms)
{
    Guard guard;
    d.release_ms = ms;
}

EXPORT void hs_hailo_double_lose()
{
    Guard guard;
    SimGuard sim_guard(d.sim);
    d.sim->devices[d.index].losses++;
    pthread_cond_broadcast(&d.changed);
}

EXPORT int hs_hailo_double_open()
{
    Guard guard;
    return d.open;
}

EXPORT int hs_hailo_double_violations(char *last, size_t size)
{
    Guard guard;
    hs_str_copy(last, size, d.last);
    return d.violations;
}

EXPORT int hs_hailo_double_in_flight(int *ret_most)
{
    Guard guard;
    *ret_most = d.most;
    return d.in_flight;
}

EXPORT int hs_hailo_double_mapped(int *ret_ever)
{
    Guard guard;
    *ret_ever = d.mapped_ever;
    return d.mapped;
}

EXPORT void hs_hailo_double_group(char *dst, size_t size)
{
    Guard guard;
    hs_str_copy(dst, size, d.group);
}
}

/* ---- Model files ---- */

static std::shared_ptr<Stream> make_stream(const hs_tensor_desc &desc)
{
    auto stream = std::make_shared<Stream>();
    stream->tensor.native = desc;
    stream->tensor.type = desc.dtype == HS_DTYPE_U16 ? HAILO_FORMAT_TYPE_UINT16 : HAILO_FORMAT_TYPE_UINT8;
    stream->tensor.order = desc.h == 1 && desc.w == 1 ? HAILO_FORMAT_ORDER_NC : HAILO_FORMAT_ORDER_NHWC;
    stream->tensor.device_order = stream->tensor.order;
    stream->tensor.valid = desc.scale > 0;
    stream->is_input = false;
    return stream;
}

static void describe(Hef *hef)
{
    for (const Head &head : hef->heads)
        hef->outputs.push_back(make_stream(head.desc));
    if (!hef->network_path.empty())
        return;
    hs_tensor_desc descs[HS_MODEL_MAX_OUTPUTS];
    int count = 1;
    if (hef->output_kind == HS_OUTPUT_EMBEDDINGS) {
        hs_sim_vector_describe(HS_DTYPE_U8, descs);
    } else if (hef->output_kind == HS_OUTPUT_FACES) {
        hs_sim_face_describe(hef->h, hef->w, HS_DTYPE_U8, descs);
        count = HS_SIM_FACE_HEADS;
    } else {
        hs_sim_person_describe(hef->h, hef->w, HS_DTYPE_U8, descs);
        count = HS_SIM_PERSON_HEADS;
    }
    for (int i = 0; i < count; i++)
        hef->outputs.push_back(make_stream(descs[i]));
}

/* Parses "output INDEX H W C TYPE SCALE ZERO", optionally followed by "sigmoid". */
static void add_head(Hef *hef, std::istringstream &words)
{
    Head head = {};
    std::string type, rest;
    words >> head.index >> head.desc.h >> head.desc.w >> head.desc.c >> type >> head.desc.scale >> head.desc.zero_point;
    head.sigmoid = words >> rest && rest == "sigmoid";
    head.desc.dtype = type == "uint16" ? HS_DTYPE_U16 : HS_DTYPE_U8;
    head.desc.layout = HS_LAYOUT_NHWC;
    hs_str_format(head.desc.name, sizeof(head.desc.name), "double/out_%d", head.index);
    hef->heads.push_back(head);
    hef->outputs.push_back(make_stream(head.desc));
}

static void apply_network_line(Hef *hef, const std::string &key, std::istringstream &words)
{
    if (key == "network")
        words >> hef->network_path;
    else if (key == "ranges")
        words >> hef->ranges_path;
    else if (key == "mean")
        words >> hef->mean[0] >> hef->mean[1] >> hef->mean[2];
    else if (key == "std")
        words >> hef->std[0] >> hef->std[1] >> hef->std[2];
    else if (key == "output")
        add_head(hef, words);
    else if (key == "shuffled")
        hef->shuffled = true;
}

static hailo_format_order_t order_of(const std::string &name)
{
    return name == "FCR"    ? HAILO_FORMAT_ORDER_FCR
           : name == "F8CR" ? HAILO_FORMAT_ORDER_F8CR
           : name == "NHW"  ? HAILO_FORMAT_ORDER_NHW
                            : HAILO_FORMAT_ORDER_NHCW;
}

static void apply_line(Hef *hef, const std::string &line)
{
    std::istringstream words(line);
    std::string key, name, order;
    words >> key;
    apply_network_line(hef, key, words);
    if (key == "finds") {
        words >> name;
        hef->output_kind = name == "faces"        ? HS_OUTPUT_FACES
                           : name == "embeddings" ? HS_OUTPUT_EMBEDDINGS
                                                  : HS_OUTPUT_POSES;
    } else if (key == "input") {
        words >> hef->h >> hef->w;
        describe(hef);
    } else if (key == "channels") {
        words >> hef->c;
    } else if (key == "scale") { /* multiplies the scale of all outputs */
        float factor;
        words >> factor;
        for (auto &stream : hef->outputs)
            stream->tensor.native.scale *= factor;
    } else if (key == "queue") {
        words >> hef->queue;
    } else if (key == "reversed") {
        std::reverse(hef->outputs.begin(), hef->outputs.end());
    } else if (key == "padding") {
        size_t bytes;
        words >> name >> bytes;
        for (auto &stream : hef->outputs)
            if (name == stream->tensor.native.name)
                stream->tensor.padding = bytes;
    } else if (key == "invalid" || key == "order") {
        words >> name >> order;
        for (auto &stream : hef->outputs) {
            if (name != stream->tensor.native.name)
                continue;
            if (key == "order")
                stream->tensor.order = stream->tensor.device_order = order_of(order);
            else
                stream->tensor.valid = false;
        }
    }
}

Network::~Network()
{
    if (model)
        backend->unload(model);
    if (device)
        backend->close(device);
    if (ranges_path.empty())
        return;
    std::ofstream file(ranges_path);
    for (const auto &range : ranges)
        file << range.first << ' ' << range.second << '\n';
}

/* Returns the reason why the network's outputs do not fit the head; nullptr if they fit. */
static const char *refuse_head(const Head &head, const hs_model_info &info)
{
    if (head.index < 0 || head.index >= info.output_count)
        return "unknown output number";
    const hs_tensor_desc &to = head.desc, &from = info.outputs[head.index];
    size_t wanted = static_cast<size_t>(to.h) * static_cast<size_t>(to.w) * static_cast<size_t>(to.c);
    if (from.layout == HS_LAYOUT_ROWS ? wanted != from.size_bytes / sizeof(float)
                                      : to.h != from.h || to.w != from.w || to.c != from.c)
        return "wrong shape of an output";
    return nullptr;
}

static int load_network(const Hef &hef, Network *network, hs_error *err)
{
    hs_device_options options = {};
    hs_model_spec spec = {};
    spec.path = hef.network_path.c_str();
    spec.input_h = hef.h;
    spec.input_w = hef.w;
    spec.slots = spec.batch = 1;
    spec.precision = HS_PRECISION_F32;
    memcpy(spec.mean, hef.mean, sizeof(spec.mean));
    memcpy(spec.std, hef.std, sizeof(spec.std));
    int r = hs_registry_find("cpu", &network->backend, err);
    if (r == 0)
        r = network->backend->open(&options, &network->device, err);
    if (r == 0)
        r = network->backend->load(network->device, &spec, &network->model, err);
    for (size_t i = 0; r == 0 && i < hef.heads.size(); i++) {
        const char *why = refuse_head(hef.heads[i], *network->backend->info(network->model));
        if (why)
            r = hs_error_set(err, HS_EMODEL, "output %d: %s", hef.heads[i].index, why);
    }
    return r;
}

static hailo_status find_network(Hef *hef)
{
    if (hef->network_path.empty())
        return HAILO_SUCCESS;
    hs_error err = {};
    hef->network = std::make_shared<Network>();
    if (load_network(*hef, hef->network.get(), &err) != 0) {
        fprintf(stderr, "double of HailoRT: %s: %s\n", hef->network_path.c_str(), err.message);
        return HAILO_HEF_NOT_SUPPORTED;
    }
    hef->network->ranges_path = hef->ranges_path;
    hef->network->ranges.assign(hef->heads.size(), { HUGE_VALF, -HUGE_VALF });
    return HAILO_SUCCESS;
}

static hailo_status read_hef(const std::string &path, Hef *hef)
{
    std::ifstream file(path, std::ios::binary);
    if (!file)
        return HAILO_OPEN_FILE_FAILURE;
    char magic[4] = "";
    if (!file.read(magic, 4))
        return HAILO_FILE_OPERATION_FAILURE;
    if (memcmp(magic, "\x01HEF", 4) != 0)
        return HAILO_HEF_NOT_SUPPORTED;
    for (std::string line; std::getline(file, line);)
        apply_line(hef, line);
    for (auto &stream : hef->outputs)
        hef->names.emplace_back(stream->tensor.native.name);
    return hef->outputs.empty() ? HAILO_HEF_NOT_SUPPORTED : find_network(hef);
}

/* ---- Networks ---- */

namespace hailort
{

class InferModelDouble final : public InferModel
{
  public:
    std::shared_ptr<Link> link;
    Hef hef;
    std::vector<std::string> input_names{ "double/input" };
    std::shared_ptr<Stream> in = std::make_shared<Stream>();
    bool configured = false;

    ~InferModelDouble() override
    {
        if (link)
            await_release(*link, "the end of a model");
    }

    void set_batch_size(uint16_t) override
    {
        check_not_in_callback("set_batch_size");
    }

    Expected<InferStream> input(const std::string &name) override
    {
        InferStream stream;
        stream.stream = in;
        if (name != input_names[0])
            return Expected<InferStream>::failed(HAILO_NOT_FOUND);
        return Expected<InferStream>(std::move(stream));
    }

    Expected<InferStream> output(const std::string &name) override
    {
        InferStream stream;
        for (auto &candidate : hef.outputs)
            if (name == candidate->tensor.native.name)
                stream.stream = candidate;
        if (!stream.stream)
            return Expected<InferStream>::failed(HAILO_NOT_FOUND);
        return Expected<InferStream>(std::move(stream));
    }

    const std::vector<std::string> &get_input_names() const override
    {
        return input_names;
    }
    const std::vector<std::string> &get_output_names() const override
    {
        return hef.names;
    }
    Expected<ConfiguredInferModel> configure() override;

  private:
    bool formats_fit() const;
    void note_formats(State *state) const;
};

/* HailoRT converts these device orders of an output to NHWC, and leaves the others unchanged. */
static bool can_reorder(const Tensor &tensor)
{
    return tensor.order == tensor.device_order ||
           (tensor.order == HAILO_FORMAT_ORDER_NHWC &&
            (tensor.device_order == HAILO_FORMAT_ORDER_FCR || tensor.device_order == HAILO_FORMAT_ORDER_F8CR ||
             tensor.device_order == HAILO_FORMAT_ORDER_NHCW));
}

bool InferModelDouble::formats_fit() const
{
    for (const auto &stream : hef.outputs)
        if ((stream->tensor.type == HAILO_FORMAT_TYPE_UINT8 && stream->tensor.native.dtype == HS_DTYPE_U16) ||
            !can_reorder(stream->tensor))
            return false;
    return in->tensor.type == HAILO_FORMAT_TYPE_UINT8 && in->tensor.order == HAILO_FORMAT_ORDER_NHWC;
}

/* Stores the descriptions in the order in which the rule fills them, matched by name. */
void InferModelDouble::note_formats(State *state) const
{
    Hef fresh = hef;
    fresh.outputs.clear();
    describe(&fresh);
    for (const auto &wanted : fresh.outputs)
        for (const auto &stream : hef.outputs) {
            if (strcmp(stream->tensor.native.name, wanted->tensor.native.name) != 0)
                continue;
            hs_tensor_desc desc = stream->tensor.native;
            if (stream->tensor.type == HAILO_FORMAT_TYPE_FLOAT32) {
                desc.dtype = HS_DTYPE_F32;
                desc.scale = 1;
                desc.zero_point = 0;
            }
            desc.size_bytes = frame_size(stream->tensor);
            state->descs.push_back(desc);
        }
}

Expected<ConfiguredInferModel> InferModelDouble::configure()
{
    check_not_in_callback("configure");
    Guard guard;
    hailo_status status = injected("configure");
    if (configured)
        violation("a network was configured twice");
    configured = true;
    if (status == HAILO_SUCCESS) {
        SimGuard sim_guard(link->sim);
        status = is_lost(*link) ? HAILO_COMMUNICATION_CLOSED : formats_fit() ? HAILO_SUCCESS : HAILO_INVALID_ARGUMENT;
    }
    if (status != HAILO_SUCCESS)
        return Expected<ConfiguredInferModel>::failed(status);
    auto state = std::make_shared<State>();
    state->link = link;
    state->hef = hef;
    note_formats(state.get());
    ConfiguredInferModel result;
    result.running = std::make_shared<Running>();
    result.running->state = state;
    link->networks++;
    return Expected<ConfiguredInferModel>(std::move(result));
}

Running::~Running()
{
    if (!state)
        return;
    await_release(*state->link, "the end of a network");
    Guard guard;
    if (state->in_flight > 0)
        violation("a network was freed while the device had its pictures");
    if (!state->shut && !state->failed)
        violation("a network was freed without shutdown");
    if (state->hef.network)
        fprintf(stderr, "double of HailoRT: at most %d pictures were in flight\n", d.most);
    state->shut = true;
    state->link->networks--;
}

EXPORT hailo_3d_image_shape_t InferModel::InferStream::shape() const
{
    const hs_tensor_desc &desc = stream->tensor.native;
    return { static_cast<uint32_t>(desc.h), static_cast<uint32_t>(desc.w), static_cast<uint32_t>(desc.c) };
}

EXPORT hailo_format_t InferModel::InferStream::format() const
{
    return { stream->tensor.type, stream->tensor.order, 0 };
}

EXPORT size_t InferModel::InferStream::get_frame_size() const
{
    return frame_size(stream->tensor);
}

EXPORT std::vector<hailo_quant_info_t> InferModel::InferStream::get_quant_infos() const
{
    const hs_tensor_desc &desc = stream->tensor.native;
    return { { desc.zero_point, stream->tensor.valid ? desc.scale : 0, 0, 0 } };
}

EXPORT bool InferModel::InferStream::is_nms() const
{
    return false;
}

EXPORT void InferModel::InferStream::set_format_type(hailo_format_type_t type)
{
    stream->tensor.type = type;
}

EXPORT void InferModel::InferStream::set_format_order(hailo_format_order_t order)
{
    stream->tensor.order = order;
}

/* ---- Runs ---- */

static hailo_status usable(const std::shared_ptr<Running> &running, const char *call)
{
    check_not_in_callback(call);
    if (!running || running->state->shut) {
        violation((std::string(call) + " after shutdown").c_str());
        return HAILO_INVALID_OPERATION;
    }
    SimGuard sim_guard(running->state->link->sim);
    if (is_lost(*running->state->link))
        return HAILO_COMMUNICATION_CLOSED;
    if (running->state->failed) {
        violation((std::string(call) + " after a run that could not be started").c_str());
        return HAILO_STREAM_ABORT;
    }
    return HAILO_SUCCESS;
}

EXPORT Expected<ConfiguredInferModel::Bindings> ConfiguredInferModel::create_bindings()
{
    Guard guard;
    hailo_status status = usable(running, "create_bindings");
    if (status != HAILO_SUCCESS)
        return Expected<Bindings>::failed(status);
    Bindings bindings;
    bindings.bound = std::make_shared<Bound>();
    bindings.bound->state = running->state;
    bindings.bound->buffers.resize(running->state->hef.outputs.size() + 1);
    return Expected<Bindings>(std::move(bindings));
}

EXPORT Expected<ConfiguredInferModel::Bindings::InferStream>
ConfiguredInferModel::Bindings::input(const std::string &name)
{
    InferStream stream;
    stream.bound = bound;
    stream.index = bound->buffers.size() - 1;
    if (name != "double/input")
        return Expected<InferStream>::failed(HAILO_NOT_FOUND);
    return Expected<InferStream>(std::move(stream));
}

EXPORT Expected<ConfiguredInferModel::Bindings::InferStream>
ConfiguredInferModel::Bindings::output(const std::string &name)
{
    InferStream stream;
    stream.bound = bound;
    const auto &outputs = bound->state->hef.names;
    stream.index = static_cast<size_t>(std::find(outputs.begin(), outputs.end(), name) - outputs.begin());
    if (stream.index == outputs.size())
        return Expected<InferStream>::failed(HAILO_NOT_FOUND);
    return Expected<InferStream>(std::move(stream));
}

EXPORT hailo_status ConfiguredInferModel::Bindings::InferStream::set_buffer(MemoryView view)
{
    check_not_in_callback("set_buffer");
    Guard guard;
    if (bound->in_flight)
        violation("a buffer was set while the device had the picture");
    if (reinterpret_cast<uintptr_t>(view.data()) % page_size() != 0)
        violation("a buffer is not page-aligned");
    if (view.size() != buffer_size(*bound->state, index)) {
        violation("the size of a buffer differs from that of its tensor");
        return HAILO_INVALID_OPERATION;
    }
    if (!is_mapped(view.data(), view.size()))
        violation("a buffer shares its last page");
    bound->buffers[index] = view.data();
    return HAILO_SUCCESS;
}

EXPORT Expected<size_t> ConfiguredInferModel::get_async_queue_size()
{
    Guard guard;
    hailo_status status = usable(running, "get_async_queue_size");
    if (status != HAILO_SUCCESS)
        return Expected<size_t>::failed(status);
    return Expected<size_t>(size_t{ running->state->hef.queue });
}

EXPORT hailo_status ConfiguredInferModel::wait_for_async_ready(std::chrono::milliseconds timeout, uint32_t frames)
{
    Guard guard;
    hailo_status status = usable(running, "wait_for_async_ready");
    if (status == HAILO_SUCCESS)
        status = injected("ready");
    if (status != HAILO_SUCCESS)
        return status;
    State &state = *running->state;
    {
        SimGuard sim_guard(state.link->sim);
        if (hs_sim_take_fault(state.link->sim, state.link->index, HS_SIM_QUEUE_FULL,
                              state.link->sim->devices[state.link->index].runs + 1))
            return HAILO_TIMEOUT;
    }
    int64_t deadline_ns = hs_deadline_in_ms(timeout.count());
    while (state.in_flight + frames > state.hef.queue)
        if (hs_cond_wait_until(&d.changed, &d.lock, deadline_ns) != 0)
            return HAILO_TIMEOUT;
    return HAILO_SUCCESS;
}

/* Schedules the job on the device's timeline and applies its faults. */
static hailo_status plan(const Link &link, Job *job)
{
    SimGuard guard(link.sim);
    hs_sim_device *sim_device = &link.sim->devices[link.index];
    int64_t number = ++sim_device->runs, now_ns = hs_clock_now_ns();
    if (loses_device(link.sim, link.index) || is_lost(link))
        return HAILO_COMMUNICATION_CLOSED;
    const hs_sim_fault *late = hs_sim_take_fault(link.sim, link.index, HS_SIM_LATE, number);
    bool hangs = hs_sim_take_fault(link.sim, link.index, HS_SIM_HANG, number);
    job->status = hs_sim_take_fault(link.sim, link.index, HS_SIM_ERROR, number)       ? HAILO_INTERNAL_FAILURE
                  : hs_sim_take_fault(link.sim, link.index, HS_SIM_TRANSIENT, number) ? HAILO_TIMEOUT
                                                                                      : injected("complete");
    int64_t start_ns = std::max(sim_device->free_at_ns, now_ns);
    job->due_ns = start_ns + hs_sim_draw_latency_ns(link.sim, link.index, 1);
    sim_device->free_at_ns = job->due_ns;
    job->due_ns += late ? static_cast<int64_t>(late->extra_ms * static_cast<double>(HS_NS_PER_MS)) : 0;
    if (hangs)
        job->due_ns = HS_NO_DEADLINE;
    return HAILO_SUCCESS;
}

static hailo_status try_run(const std::shared_ptr<Running> &running, const std::shared_ptr<Bound> &bound,
                            Callback &callback)
{
    hailo_status status = usable(running, "run_async");
    if (status == HAILO_SUCCESS)
        status = injected("run");
    if (status != HAILO_SUCCESS)
        return status;
    State &state = *running->state;
    if (bound->in_flight)
        violation("a picture was started while the device had it");
    if (state.in_flight >= state.hef.queue)
        violation("a picture was started without room in the queue");
    if (bound->state != running->state || std::count(bound->buffers.begin(), bound->buffers.end(), nullptr) > 0)
        return HAILO_INVALID_OPERATION;
    Job job = { bound, nullptr, 0, HAILO_SUCCESS, hash_of(bound->buffers.back(), input_size(state)) };
    status = plan(*state.link, &job);
    if (status != HAILO_SUCCESS)
        return status;
    job.callback = std::move(callback);
    poison_outputs(*bound);
    bound->in_flight = true;
    state.in_flight++;
    d.in_flight++;
    d.most = std::max(d.most, d.in_flight);
    d.jobs->push_back(std::move(job));
    return HAILO_SUCCESS;
}

EXPORT Expected<AsyncInferJob> ConfiguredInferModel::run_async(const Bindings &bindings, Callback callback)
{
    Guard guard;
    hailo_status status = try_run(running, bindings.bound, callback);
    pthread_cond_broadcast(&d.changed);
    if (status != HAILO_SUCCESS) {
        running->state->failed = true;
        return Expected<AsyncInferJob>::failed(status);
    }
    AsyncInferJob job;
    job.attached = true;
    return Expected<AsyncInferJob>(std::move(job));
}

EXPORT hailo_status ConfiguredInferModel::shutdown()
{
    await_release(*running->state->link, "shutdown");
    Guard guard;
    if (running->state->in_flight > 0)
        violation("a network was shut down while the device had its pictures");
    running->state->shut = true;
    return HAILO_SUCCESS;
}

EXPORT AsyncInferJob::AsyncInferJob(AsyncInferJob &&other) noexcept : attached(other.attached)
{
    other.attached = false;
}

EXPORT AsyncInferJob &AsyncInferJob::operator=(AsyncInferJob &&other) noexcept
{
    std::swap(attached, other.attached);
    return *this;
}

EXPORT AsyncInferJob::~AsyncInferJob()
{
    if (attached)
        violation("a job was destroyed without detach, which blocks until it ends");
}

EXPORT void AsyncInferJob::detach()
{
    attached = false;
}

/* ---- Devices ---- */

class DeviceDouble final : public Device
{
  public:
    std::shared_ptr<Link> link;

    Expected<hailo_device_identity_t> identify() override
    {
        check_not_in_callback("identify");
        hailo_version_t version = version_of("HS_HAILO_DOUBLE_FIRMWARE");
        SimGuard guard(link->sim);
        if (is_lost(*link))
            return Expected<hailo_device_identity_t>::failed(HAILO_COMMUNICATION_CLOSED);
        return Expected<hailo_device_identity_t>(
            hailo_device_identity_t{ { version.major, version.minor, version.revision } });
    }

    Expected<hailo_chip_temperature_info_t> get_chip_temperature() override
    {
        using Result = Expected<hailo_chip_temperature_info_t>;
        check_not_in_callback("get_chip_temperature");
        Guard guard;
        hailo_status status = injected("temperature");
        if (status != HAILO_SUCCESS)
            return Result::failed(status);
        SimGuard sim_guard(link->sim);
        float celsius = static_cast<float>(link->sim->script.temperature_c);
        if (is_lost(*link))
            return Result::failed(HAILO_COMMUNICATION_CLOSED);
        return Result(hailo_chip_temperature_info_t{ celsius - 1, celsius + 1, 1 });
    }
};

class VDeviceDouble final : public VDevice
{
  public:
    std::shared_ptr<Link> link;
    mutable DeviceDouble device;

    ~VDeviceDouble() override
    {
        await_release(*link, "the end of a device");
        if (link->networks > 0)
            violation("a device was closed before its networks");
        pthread_mutex_lock(&d.lock);
        link->closed = true;
        d.open--;
        pthread_cond_broadcast(&d.changed);
        pthread_mutex_unlock(&d.lock);
        pthread_join(link->thread, nullptr);
        close(link->fd);
    }

    Expected<std::shared_ptr<InferModel>> create_infer_model(const std::string &hef_path, const std::string &) override
    {
        using Result = Expected<std::shared_ptr<InferModel>>;
        check_not_in_callback("create_infer_model");
        auto model = std::make_shared<InferModelDouble>();
        hailo_status status = apply_load_script(*link);
        {
            Guard guard;
            if (status == HAILO_SUCCESS)
                status = injected("read");
        }
        if (status == HAILO_SUCCESS)
            status = read_hef(hef_path, &model->hef);
        if (status != HAILO_SUCCESS)
            return Result::failed(status);
        model->link = link;
        model->in->is_input = true;
        model->in->tensor.native.h = model->hef.h;
        model->in->tensor.native.w = model->hef.w;
        model->in->tensor.native.c = model->hef.c;
        model->in->tensor.type = HAILO_FORMAT_TYPE_UINT8;
        model->in->tensor.order = HAILO_FORMAT_ORDER_NHCW;
        return Result(std::move(model));
    }

    Expected<std::vector<std::reference_wrapper<Device>>> get_physical_devices() const override
    {
        return { std::vector<std::reference_wrapper<Device>>{ device } };
    }

    hailo_status dma_map(void *address, size_t size, hailo_dma_buffer_direction_t direction) override
    {
        check_not_in_callback("dma_map");
        Guard guard;
        hailo_status status = injected("map");
        if (reinterpret_cast<uintptr_t>(address) % page_size() != 0 || size == 0)
            violation("mapped memory is not page-aligned");
        if (status == HAILO_SUCCESS && !mapped.insert({ address, { size, direction } }).second)
            violation("memory was mapped twice");
        if (status == HAILO_SUCCESS)
            d.mapped++, d.mapped_ever++;
        return status;
    }

    hailo_status dma_unmap(void *address, size_t size, hailo_dma_buffer_direction_t direction) override
    {
        check_not_in_callback("dma_unmap");
        Guard guard;
        auto found = mapped.find(address);
        if (found == mapped.end() || found->second != std::make_pair(size, direction)) {
            violation("unmapped memory was not mapped");
            return HAILO_INVALID_ARGUMENT;
        }
        mapped.erase(found);
        d.mapped--;
        return HAILO_SUCCESS;
    }

  private:
    std::map<void *, std::pair<size_t, hailo_dma_buffer_direction_t>> mapped;
};

static hailo_status try_create(const hailo_vdevice_params_t &params, hs_sim_state *sim, int index)
{
    hailo_status status = injected("create");
    if (status != HAILO_SUCCESS)
        return status;
    if (params.multi_process_service || params.scheduling_algorithm != HAILO_SCHEDULING_ALGORITHM_ROUND_ROBIN)
        violation("a device was opened with parameters that a Hailo-10H does not support");
    const char *other = getenv("HS_HAILO_DOUBLE_GROUP");
    if (other && other[0] && strcmp(other, params.group_id) != 0)
        return HAILO_DEVICE_IN_USE;
    SimGuard guard(sim);
    return loses_device(sim, index) ? static_cast<hailo_status>(CONNECTION_REFUSED) : apply_setup_faults(sim, index);
}

static void connect_link(Link *link, hs_sim_state *sim, int index)
{
    SimGuard sim_guard(sim);
    link->sim = d.sim = sim;
    link->index = d.index = index;
    link->losses = sim->devices[index].losses;
    link->fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (pthread_create(&link->thread, nullptr, run_callbacks, link) != 0)
        abort();
    d.open++;
}

EXPORT Expected<std::shared_ptr<VDevice>> VDevice::create_shared(const hailo_vdevice_params_t &params)
{
    using Result = Expected<std::shared_ptr<VDevice>>;
    check_not_in_callback("create_shared");
    Guard guard;
    hs_sim_state *sim = find_sim();
    if (!params.device_ids || params.device_count != 1) {
        violation("a device was opened without its id");
        return Result::failed(HAILO_OUT_OF_PHYSICAL_DEVICES);
    }
    int index = params.device_ids[0].id[6] - '1'; /* of "0000:01:00.0" */
    hailo_status status = try_create(params, sim, index);
    if (status != HAILO_SUCCESS)
        return Result::failed(status);
    hs_str_copy(d.group, sizeof(d.group), params.group_id);
    auto vdevice = std::make_shared<VDeviceDouble>();
    vdevice->link = std::make_shared<Link>();
    connect_link(vdevice->link.get(), sim, index);
    vdevice->device.link = vdevice->link;
    return Result(std::move(vdevice));
}

} // namespace hailort
