/* A network and its slots. Each slot has whole pages for every tensor of every picture; they are
 * bound once and reused.
 *
 * HailoRT runs one picture per call and reports the result in a callback on one of its threads;
 * that callback must not call HailoRT. A batch is one call per picture, and the chip computes up to
 * the batch size together. (HailoRT also has a call for several pictures, but if its third picture
 * fails, it never reports the first two.) A slot is done when its last picture is. Shared pointers
 * keep memory that HailoRT still uses, so that neither a late callback nor a freed network accesses
 * freed memory: a callback holds its run, a slot in flight its network, a network the slots'
 * memory. */
#include "backends/hailo/shim.hpp"

#include <chrono>
#include <mutex>
#include <new>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

using namespace hs_hailo;
using hailort::ConfiguredInferModel;
using hailort::InferModel;

/* Longest wait of a submission for room in HailoRT's queue, which has room for all slots. */
static const std::chrono::milliseconds ready_wait(100);
/* Longest time that a release blocks its caller. On a chip that responds it takes milliseconds. */
static const int64_t release_wait_ms = 2000;

namespace
{

/* The memory of a model's slots. Each network bound to it holds a reference, because the device may
 * write to it until that network is destroyed.
 *
 * The memory is mapped for the driver once, which saves a mapping per run; if the driver refuses,
 * runs are only slower. The driver pins the current pages. After a fork() the first write to such a
 * page may give this process a copy that the device does not use, so this file must not fork()
 * while a device is open; posix_spawn() and vfork() are safe. */
struct memory {
    struct mapping {
        void *start;
        size_t bytes;
        hailo_dma_buffer_direction_t direction;
    };
    std::shared_ptr<hailort::VDevice> vdevice; /* outlives the other members */
    void *start = MAP_FAILED;
    size_t bytes = 0;
    std::vector<mapping> mapped;

    ~memory()
    {
        for (const mapping &m : mapped)
            vdevice->dma_unmap(m.start, m.bytes, m.direction);
        if (start != MAP_FAILED)
            munmap(start, bytes);
    }

    void map(void *tensor, size_t size, hailo_dma_buffer_direction_t direction)
    {
        if (vdevice->dma_map(tensor, size, direction) == HAILO_SUCCESS)
            mapped.push_back({ tensor, size, direction });
    }
};

/* A network configured in HailoRT. A network that failed to start a run is dead, and is loaded again. */
struct network {
    std::shared_ptr<struct memory> memory; /* holds the device too; both outlive the other members */
    std::shared_ptr<InferModel> model;
    ConfiguredInferModel configured;
    std::vector<ConfiguredInferModel::Bindings> bindings; /* slot by slot, one for each picture */
    std::atomic<bool> dead{ true };                       /* also true until it is configured */

    ~network()
    {
        if (!dead)
            configured.shutdown();
    }
};

/* State of the pictures of one submission. */
struct run {
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the other members */
    pthread_cond_t done;
    uint32_t pending = 0; /* one bit for each picture in HailoRT */
    hailo_status status = HAILO_SUCCESS;
    bool usable;

    run() : usable(hs_cond_init(&done) == 0)
    {
    }
    run(const run &) = delete;
    run &operator=(const run &) = delete;
    ~run()
    {
        if (usable)
            pthread_cond_destroy(&done);
        pthread_mutex_destroy(&lock);
    }

    void begin(uint32_t picture)
    {
        pthread_mutex_lock(&lock);
        pending |= picture;
        pthread_mutex_unlock(&lock);
    }

    /* May be called twice for one picture; only the first call has an effect. */
    void end(uint32_t picture, hailo_status how)
    {
        pthread_mutex_lock(&lock);
        if ((pending & picture) && status == HAILO_SUCCESS)
            status = how;
        pending &= ~picture;
        if (pending == 0)
            pthread_cond_broadcast(&done);
        pthread_mutex_unlock(&lock);
    }

    /* Returns true once HailoRT holds no picture; false at the deadline. */
    bool wait(int64_t deadline_ns)
    {
        pthread_mutex_lock(&lock);
        while (pending != 0 && hs_cond_wait_until(&done, &lock, deadline_ns) == 0)
            continue;
        bool is_done = pending == 0;
        pthread_mutex_unlock(&lock);
        return is_done;
    }
};

/* A picture in HailoRT, held by its callback. HailoRT drops some callbacks without calling them:
 * the one of the run whose outputs it reads when the link breaks, or when the read times out. In
 * that case the last reference ends the run. */
struct ticket {
    std::shared_ptr<struct run> run;
    uint32_t picture;
    ~ticket()
    {
        run->end(picture, HAILO_COMMUNICATION_CLOSED);
    }
};

struct slot {
    uint8_t *start = nullptr; /* the inputs, then the outputs of each picture */
    std::shared_ptr<run> current;
    std::shared_ptr<network> holds; /* set while HailoRT uses it */
};

size_t whole_pages(size_t bytes)
{
    size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    return (bytes + page - 1) / page * page;
}

} // namespace

struct hs_model {
    hs_device *device;
    std::shared_ptr<struct memory> memory = std::make_shared<struct memory>();
    std::string path;
    hs_model_info info = {};
    std::string input_name;
    std::vector<std::string> output_names;
    size_t output_at[HS_MODEL_MAX_OUTPUTS] = {}; /* offset in a picture's outputs; each output begins on a new page */
    size_t picture_bytes = 0;
    slot slots[HS_MODEL_MAX_SLOTS];
    std::mutex lock; /* guards `net`; held while a run is started */
    std::shared_ptr<network> net;

    uint8_t *input_of(int slot, int picture) const
    {
        return slots[slot].start + static_cast<size_t>(picture) * info.input_stride;
    }

    uint8_t *output_of(int slot, int picture, int index) const
    {
        return input_of(slot, info.batch) + static_cast<size_t>(picture) * picture_bytes + output_at[index];
    }
};

/* ---- Releases ---- */

struct release_job {
    std::shared_ptr<void> what;
    std::shared_ptr<run> done;
};

static void *run_release(void *arg)
{
    std::unique_ptr<release_job> job(static_cast<release_job *>(arg));
    job->what.reset();
    job->done->end(1, HAILO_SUCCESS);
    return nullptr;
}

void hs_hailo::release(hs_device *device, std::shared_ptr<void> what)
{
    auto done = std::make_shared<run>();
    auto *job = new release_job{ std::move(what), done };
    pthread_t thread;
    done->begin(1);
    if (!done->usable || pthread_create(&thread, nullptr, run_release, job) != 0) {
        run_release(job);
        return;
    }
    pthread_detach(thread);
    if (!done->wait(hs_deadline_in_ms(device->hung ? 0 : release_wait_ms)))
        device->hung = device->lost = true;
}

/* ---- Description of a network ---- */

static int refuse(hs_error *err, const char *what, const char *name)
{
    return hs_error_set(err, HS_EMODEL, "unsupported model file: %s '%.60s'", what, name);
}

static int describe_input(hs_model *model, InferModel &infer, const hs_model_spec *spec, hs_error *err)
{
    if (infer.get_input_names().size() != 1)
        return refuse(err, "expected one input, got", std::to_string(infer.get_input_names().size()).c_str());
    model->input_name = infer.get_input_names()[0];
    auto stream = infer.input(model->input_name);
    if (!stream)
        return fail(model->device, stream.status(), HS_HAILO_LOAD, err);
    stream->set_format_type(HAILO_FORMAT_TYPE_UINT8);
    stream->set_format_order(HAILO_FORMAT_ORDER_NHWC);
    hailo_3d_image_shape_t shape = stream->shape();
    size_t bytes = size_t{ shape.height } * shape.width * shape.features;
    if (shape.features != 3 || stream->get_frame_size() != bytes)
        return refuse(err, "the input is not a picture:", model->input_name.c_str());
    model->info.input_h = static_cast<int>(shape.height);
    model->info.input_w = static_cast<int>(shape.width);
    if (model->info.input_h != spec->input_h || model->info.input_w != spec->input_w)
        return hs_error_set(err, HS_EMODEL, "the model file requires pictures of %dx%d, not %dx%d", model->info.input_w,
                            model->info.input_h, spec->input_w, spec->input_h);
    model->info.input_stride = whole_pages(bytes);
    return 0;
}

/* Keeps the chip's number format if one scale and zero point apply to the whole tensor; otherwise
 * requests float32. */
static void choose_format(InferModel::InferStream &stream, hs_tensor_desc *desc)
{
    std::vector<hailo_quant_info_t> infos = stream.get_quant_infos();
    bool valid = false;
    hailo_format_type_t type = stream.format().type;
    if (infos.size() != 1 || hailo_is_qp_valid(infos[0], &valid) != HAILO_SUCCESS)
        valid = false;
    if (!valid || (type != HAILO_FORMAT_TYPE_UINT8 && type != HAILO_FORMAT_TYPE_UINT16))
        type = HAILO_FORMAT_TYPE_FLOAT32;
    stream.set_format_type(type);
    desc->dtype = type == HAILO_FORMAT_TYPE_UINT8    ? HS_DTYPE_U8
                  : type == HAILO_FORMAT_TYPE_UINT16 ? HS_DTYPE_U16
                                                     : HS_DTYPE_F32;
    desc->scale = desc->dtype == HS_DTYPE_F32 ? 1 : infos[0].qp_scale;
    desc->zero_point = desc->dtype == HS_DTYPE_F32 ? 0 : infos[0].qp_zp;
}

/* Requests the output packed, cell by cell. NC and NHW already are, and HailoRT refuses to convert
 * them to NHWC. */
static bool choose_order(InferModel::InferStream &stream)
{
    hailo_format_order_t order = stream.format().order;
    if (order == HAILO_FORMAT_ORDER_FCR || order == HAILO_FORMAT_ORDER_F8CR) {
        order = HAILO_FORMAT_ORDER_NHWC;
        stream.set_format_order(order);
    }
    return order == HAILO_FORMAT_ORDER_NHWC || order == HAILO_FORMAT_ORDER_NC || order == HAILO_FORMAT_ORDER_NHW;
}

static int describe_output(hs_model *model, InferModel &infer, const std::string &name, hs_error *err)
{
    auto stream = infer.output(name);
    if (!stream)
        return fail(model->device, stream.status(), HS_HAILO_LOAD, err);
    hs_tensor_desc *desc = &model->info.outputs[model->info.output_count];
    hailo_3d_image_shape_t shape = stream->shape();
    if (stream->is_nms() || !choose_order(*stream))
        return refuse(err, "the output is not a plain tensor:", name.c_str());
    choose_format(*stream, desc);
    hs_str_copy(desc->name, sizeof(desc->name), name.c_str());
    desc->layout = HS_LAYOUT_NHWC;
    desc->h = static_cast<int>(shape.height);
    desc->w = static_cast<int>(shape.width);
    desc->c = static_cast<int>(shape.features);
    desc->size_bytes = size_t{ shape.height } * shape.width * shape.features * hs_dtype_size(desc->dtype);
    if (stream->get_frame_size() != desc->size_bytes)
        return refuse(err, "the size of the output does not match its shape:", name.c_str());
    model->output_at[model->info.output_count++] = model->picture_bytes;
    model->picture_bytes += whole_pages(desc->size_bytes);
    return 0;
}

static int describe(hs_model *model, InferModel &infer, const hs_model_spec *spec, hs_error *err)
{
    model->info.output_count = 0;
    model->picture_bytes = 0;
    model->output_names = infer.get_output_names();
    if (model->output_names.size() > HS_MODEL_MAX_OUTPUTS)
        return refuse(err, "too many outputs, the last one is", model->output_names.back().c_str());
    int r = describe_input(model, infer, spec, err);
    for (size_t i = 0; r == 0 && i < model->output_names.size(); i++)
        r = describe_output(model, infer, model->output_names[i], err);
    return r;
}

static bool same_outputs(const hs_model &a, const hs_model &b)
{
    if (a.output_names != b.output_names || a.picture_bytes != b.picture_bytes)
        return false;
    for (int i = 0; i < a.info.output_count; i++) {
        const hs_tensor_desc &x = a.info.outputs[i], &y = b.info.outputs[i];
        if (x.dtype != y.dtype || x.h != y.h || x.w != y.w || x.c != y.c || x.scale != y.scale ||
            x.zero_point != y.zero_point)
            return false;
    }
    return true;
}

/* Fails if a model that is loaded again has other outputs than before. */
static int describe_again(hs_model *model, InferModel &infer, hs_error *err)
{
    hs_model again;
    again.device = model->device;
    hs_model_spec spec = {};
    spec.input_h = model->info.input_h;
    spec.input_w = model->info.input_w;
    int r = describe(&again, infer, &spec, err);
    if (r == 0 && !same_outputs(again, *model))
        r = hs_error_set(err, HS_ELOST, "the model file was changed while it was in use; load the model again");
    return r;
}

/* ---- From a file to a network ---- */

/* `spec` is null if the model is loaded again; its outputs must then be unchanged. */
static int try_build(hs_model *model, const hs_model_spec *spec, network *net, hs_error *err)
{
    auto infer = model->device->vdevice->create_infer_model(model->path);
    if (!infer)
        return fail(model->device, infer.status(), HS_HAILO_LOAD, err);
    net->model = infer.release();
    int r = spec ? describe(model, *net->model, spec, err) : describe_again(model, *net->model, err);
    if (r != 0)
        return r;
    net->model->set_batch_size(static_cast<uint16_t>(model->info.batch));
    auto configured = net->model->configure();
    if (!configured)
        return fail(model->device, configured.status(), HS_HAILO_LOAD, err);
    net->configured = configured.release();
    net->dead = false;
    return 0;
}

/* HailoRT may miss a reply that arrives very early, and then waits for it until it times out. So a
 * transient failure is retried once, beginning with the file, because a network can be configured
 * only once. */
static int build(hs_model *model, const hs_model_spec *spec, std::shared_ptr<network> *ret_net, hs_error *err)
{
    hs_device *device = model->device;
    int r = HS_ETRANSIENT;
    for (int attempt = 0; attempt < 2 && r == HS_ETRANSIENT; attempt++) {
        /* The deleter waits for the release. */
        std::shared_ptr<network> net(new network,
                                     [device](network *old) { release(device, std::shared_ptr<network>(old)); });
        net->memory = model->memory;
        r = try_build(model, spec, net.get(), err);
        if (r == 0)
            *ret_net = std::move(net);
    }
    return r;
}

static hailo_status bind(hs_model *model, network *net, int slot, int picture)
{
    auto made = net->configured.create_bindings();
    if (!made)
        return made.status();
    ConfiguredInferModel::Bindings bindings = made.release();
    auto in = bindings.input(model->input_name);
    if (!in)
        return in.status();
    size_t bytes = static_cast<size_t>(model->info.input_h) * static_cast<size_t>(model->info.input_w) * 3;
    hailo_status status = in->set_buffer(hailort::MemoryView(model->input_of(slot, picture), bytes));
    for (int i = 0; i < model->info.output_count && status == HAILO_SUCCESS; i++) {
        auto out = bindings.output(model->output_names[static_cast<size_t>(i)]);
        if (!out)
            return out.status();
        status =
            out->set_buffer(hailort::MemoryView(model->output_of(slot, picture, i), model->info.outputs[i].size_bytes));
    }
    net->bindings.push_back(std::move(bindings));
    return status;
}

static int bind_all(hs_model *model, network *net, hs_error *err)
{
    hailo_status status = HAILO_SUCCESS;
    for (int i = 0; i < model->info.slots * model->info.batch && status == HAILO_SUCCESS; i++)
        status = bind(model, net, i / model->info.batch, i % model->info.batch);
    return status == HAILO_SUCCESS ? 0 : fail(model->device, status, HS_HAILO_LOAD, err);
}

/* Limits the pictures in flight to the size of HailoRT's queue. The batch size takes precedence
 * over the slots. */
static int fit_queue(hs_model *model, const hs_model_spec *spec, network *net, hs_error *err)
{
    auto size = net->configured.get_async_queue_size();
    if (!size)
        return fail(model->device, size.status(), HS_HAILO_LOAD, err);
    int room = *size > 1024 ? 1024 : *size < 1 ? 1 : static_cast<int>(*size);
    model->info.batch = model->info.batch < room ? model->info.batch : room;
    model->info.slots = spec->slots < room / model->info.batch ? spec->slots : room / model->info.batch;
    return 0;
}

/* Each tensor is mapped separately, exactly as it is bound. */
static int allocate_slots(hs_model *model, hs_error *err)
{
    size_t input_bytes = static_cast<size_t>(model->info.input_h) * static_cast<size_t>(model->info.input_w) * 3;
    size_t slot_bytes = (model->info.input_stride + model->picture_bytes) * static_cast<size_t>(model->info.batch);
    memory *memory = model->memory.get();
    memory->bytes = slot_bytes * static_cast<size_t>(model->info.slots);
    memory->start = mmap(nullptr, memory->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory->start == MAP_FAILED)
        return hs_error_set(err, HS_ENOMEM,
                            "no memory for the slots of the model (%d); lower inference.slots or device.batch_size",
                            model->info.slots);
    for (int i = 0; i < model->info.slots; i++) {
        model->slots[i].start = static_cast<uint8_t *>(memory->start) + static_cast<size_t>(i) * slot_bytes;
        for (int picture = 0; picture < model->info.batch; picture++) {
            memory->map(model->input_of(i, picture), input_bytes, HAILO_DMA_BUFFER_DIRECTION_H2D);
            for (int k = 0; k < model->info.output_count; k++)
                memory->map(model->output_of(i, picture, k), model->info.outputs[k].size_bytes,
                            HAILO_DMA_BUFFER_DIRECTION_D2H);
        }
    }
    return 0;
}

/* `spec` is null if the model is loaded again because a run could not be started; the model's lock
 * is then held. */
static int make(hs_model *model, const hs_model_spec *spec, hs_error *err)
{
    std::shared_ptr<network> net;
    int r = build(model, spec, &net, err);
    if (r == 0 && spec)
        r = fit_queue(model, spec, net.get(), err);
    if (r == 0 && spec)
        r = allocate_slots(model, err);
    if (r == 0)
        r = bind_all(model, net.get(), err);
    if (r == 0)
        model->net = std::move(net);
    return r;
}

int hs_hailo::load(hs_device *device, const hs_model_spec *spec, hs_model **ret_model, hs_error *err)
{
    if (device->lost)
        return lost(err);
    if (!spec->path || !spec->path[0])
        return hs_error_set(err, HS_EINVAL, "the model has no file for Hailo");
    if (spec->slots < 1 || spec->slots > HS_MODEL_MAX_SLOTS || spec->batch > HS_MODEL_MAX_BATCH)
        return hs_error_set(err, HS_EINVAL, "slots (%d) or pictures per slot (%d) out of bounds", spec->slots,
                            spec->batch);
    hs_model *model = new (std::nothrow) hs_model;
    if (!model)
        return hs_error_set(err, HS_ENOMEM, "no memory for the model");
    model->device = device;
    model->memory->vdevice = device->vdevice;
    model->path = spec->path;
    model->info.batch = spec->batch < 1 ? 1 : spec->batch;
    int r = make(model, spec, err);
    if (r != 0)
        unload(model);
    else
        *ret_model = model;
    return r;
}

void hs_hailo::unload(hs_model *model)
{
    delete model;
}

const hs_model_info *hs_hailo::info(const hs_model *model)
{
    return &model->info;
}

uint8_t *hs_hailo::input(hs_model *model, int slot)
{
    return model->input_of(slot, 0);
}

const void *hs_hailo::output(hs_model *model, int slot, int picture, int index)
{
    return model->output_of(slot, picture, index);
}

/* ---- Runs ---- */

static hailo_status start_picture(const std::shared_ptr<network> &net, const std::shared_ptr<run> &run, size_t bindings,
                                  uint32_t picture)
{
    run->begin(picture);
    std::shared_ptr<ticket> held(new ticket{ run, picture });
    auto job = net->configured.run_async(net->bindings[bindings], [held](const hailort::AsyncInferCompletionInfo &how) {
        held->run->end(held->picture, how.status);
    });
    if (job) {
        job->detach();
        return HAILO_SUCCESS;
    }
    net->dead = true;
    run->end(picture, job.status());
    return job.status();
}

/* If some pictures were already started, wait() reports the failure after they are done. */
static int start(hs_model *model, slot *slot, int index, int count, hs_error *err)
{
    const std::shared_ptr<network> &net = model->net;
    hailo_status status = HAILO_SUCCESS;
    for (int i = 0; i < count && status == HAILO_SUCCESS; i++)
        status =
            start_picture(net, slot->current, static_cast<size_t>(index * model->info.batch + i), uint32_t{ 1 } << i);
    if (status == HAILO_SUCCESS || !slot->current->wait(0)) {
        slot->holds = net;
        return 0;
    }
    return fail(model->device, status, HS_HAILO_RUN, err);
}

int hs_hailo::submit(hs_model *model, int index, int count, hs_error *err)
{
    slot *slot = &model->slots[index];
    if (count < 1 || count > model->info.batch)
        return hs_error_set(err, HS_EINVAL, "a slot of this model holds 1 to %d pictures", model->info.batch);
    slot->current = std::make_shared<run>();
    if (!slot->current->usable)
        return hs_error_set(err, HS_ENOMEM, "no memory for the run");
    std::lock_guard<std::mutex> guard(model->lock);
    if (model->device->lost)
        return lost(err);
    hs_error why = {};
    if (model->net->dead && make(model, nullptr, &why) != 0)
        return hs_error_set(err, HS_ELOST, "the network failed and cannot be loaded again: %s", why.message);
    hailo_status status = model->net->configured.wait_for_async_ready(ready_wait, static_cast<uint32_t>(count));
    if (status == HAILO_TIMEOUT)
        return hs_error_set(err, HS_EBUSY, "the Hailo device has no room for another picture; try again");
    if (status != HAILO_SUCCESS)
        return fail(model->device, status, HS_HAILO_RUN, err);
    return start(model, slot, index, count, err);
}

int hs_hailo::wait(hs_model *model, int index, int64_t deadline_ns, hs_error *err)
{
    slot *slot = &model->slots[index];
    if (!slot->current->wait(deadline_ns))
        return hs_error_set(err, HS_ETIMEOUT, "the Hailo device is still running");
    hailo_status status = slot->current->status;
    bool died = slot->holds && slot->holds->dead;
    slot->holds.reset();
    if (static_cast<int>(status) == HS_HAILO_ABORTED && died)
        return hs_error_set(err, HS_ETRANSIENT, "the run was aborted because another run failed; try again");
    return status == HAILO_SUCCESS ? 0 : fail(model->device, status, HS_HAILO_RUN, err);
}
