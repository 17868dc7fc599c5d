/* A made-up NVML for the real binding: the same names, structures and error codes, no driver.
 *
 * Tests script it through the fake_* functions: numbers by name, an error code or a delay for any function, on one GPU
 * or (-1) on all. Structures follow nvml.h as pynvml spells them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SUCCESS 0
#define UNINITIALIZED 1
#define NOT_SUPPORTED 3
#define NOT_FOUND 6
#define INSUFFICIENT_SIZE 7

typedef int Return;
typedef struct { int index; int part; } Gpu; /* part: -1 for the GPU itself, else which MIG instance */
typedef struct { unsigned gpu, memory; } Utilization;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } Memory2;
typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } ProcessInfo;
typedef struct {
    char legacy[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
} Pci;

#define GPUS 16
#define PARTS 7
#define RULES 64

static Gpu gpus[GPUS], parts[GPUS][PARTS];
static struct { char name[64]; long long value; } numbers[RULES];
static struct { char function[64]; int gpu; int code; int delay_ms; } rules[RULES];
static int number_count, rule_count, opened;

static long long number(const char *name, long long fallback) {
    for (int i = 0; i < number_count; i++)
        if (!strcmp(numbers[i].name, name)) return numbers[i].value;
    return fallback;
}

/* With FAKE_NVML_MOVES in the environment a load goes up and down, between a third of a value and all of it. */
static long long load(long long value) {
    if (!getenv("FAKE_NVML_MOVES")) return value;
    long long step = time(NULL) % 14;
    return value * (7 + 2 * (step < 7 ? step : 14 - step)) / 21;
}

void fake_clear(void) { number_count = rule_count = opened = 0; }

void fake_set(const char *name, long long value) {
    int i = 0;
    while (i < number_count && strcmp(numbers[i].name, name)) i++;
    if (i == number_count) number_count++;
    snprintf(numbers[i].name, sizeof numbers[i].name, "%s", name);
    numbers[i].value = value;
}

/* From now on a function answers with this code, after so long; function "*" means all but opening and counting. */
void fake_rule(const char *function, int gpu, int code, int delay_ms) {
    snprintf(rules[rule_count].function, sizeof rules[rule_count].function, "%s", function);
    rules[rule_count].gpu = gpu;
    rules[rule_count].code = code;
    rules[rule_count++].delay_ms = delay_ms;
}

void fake_forget_rules(void) { rule_count = 0; }
void fake_reset_driver(void) { opened = 0; }
int fake_opened(void) { return opened; }

static Return check(const char *function, const Gpu *gpu) {
    int code = SUCCESS;
    for (int i = 0; i < rule_count; i++) {
        int all = gpu && !strcmp(rules[i].function, "*");
        if (!all && strcmp(rules[i].function, function)) continue;
        if (gpu && rules[i].gpu >= 0 && rules[i].gpu != gpu->index) continue;
        struct timespec pause = {rules[i].delay_ms / 1000, rules[i].delay_ms % 1000 * 1000000L};
        nanosleep(&pause, NULL);
        code = rules[i].code;
    }
    if (!opened && strcmp(function, "nvmlInitWithFlags")) return UNINITIALIZED;
    return code;
}

#define CHECK(gpu) do { Return r = check(__func__, gpu); if (r != SUCCESS) return r; } while (0)

Return nvmlInitWithFlags(unsigned flags) { (void)flags; CHECK(NULL); opened++; return SUCCESS; }
Return nvmlShutdown(void) { CHECK(NULL); opened--; return SUCCESS; }
const char *nvmlErrorString(Return code) { (void)code; return "a made-up error"; }
Return nvmlDeviceGetCount_v2(unsigned *count) { CHECK(NULL); *count = number("gpus", 1); return SUCCESS; }

Return nvmlDeviceGetHandleByIndex_v2(unsigned index, Gpu **gpu) {
    gpus[index] = (Gpu){(int)index, -1};
    *gpu = &gpus[index];
    CHECK(*gpu);
    return SUCCESS;
}

Return nvmlDeviceGetUUID(Gpu *gpu, char *text, unsigned size) {
    CHECK(gpu);
    if (gpu->part < 0) snprintf(text, size, "GPU-0000000%d-aaaa", gpu->index);
    else snprintf(text, size, "MIG-0000000%d-%d", gpu->index, gpu->part);
    return SUCCESS;
}

Return nvmlDeviceGetName(Gpu *gpu, char *text, unsigned size) {
    CHECK(gpu);
    snprintf(text, size, gpu->part < 0 ? "NVIDIA Fake 4090" : "NVIDIA Fake 4090 MIG 1g.10gb");
    return SUCCESS;
}

Return nvmlDeviceGetPciInfo_v3(Gpu *gpu, Pci *pci) {
    CHECK(gpu);
    memset(pci, 0, sizeof *pci);
    pci->bus = gpu->index + 1;
    snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:0%d:00.0", gpu->index + 1);
    return SUCCESS;
}

Return nvmlDeviceGetUtilizationRates(Gpu *gpu, Utilization *rates) {
    CHECK(gpu);
    if (number("mig", 0)) return NOT_SUPPORTED;
    rates->gpu = load(number("busy", 75));
    rates->memory = 40;
    return SUCCESS;
}

static unsigned long long total(const Gpu *gpu) { return (gpu->part < 0 ? 24ULL : 10ULL) << 30; }

Return nvmlDeviceGetMemoryInfo(Gpu *gpu, Memory *memory) {
    CHECK(gpu);
    *memory = (Memory){total(gpu), total(gpu) - (7ULL << 30), 7ULL << 30};
    return SUCCESS;
}

Return nvmlDeviceGetMemoryInfo_v2(Gpu *gpu, Memory2 *memory) {
    CHECK(gpu);
    if (memory->version != 0x02000028) return 25;
    *memory = (Memory2){memory->version, total(gpu), 1ULL << 30, total(gpu) - (7ULL << 30), 6ULL << 30};
    return SUCCESS;
}

#define NUMBER(function, type, expression) \
    Return function(Gpu *gpu, type *value) { CHECK(gpu); *value = (expression); return SUCCESS; }
#define NUMBER_OF(function, type, expression) \
    Return function(Gpu *gpu, unsigned what, type *value) { CHECK(gpu); (void)what; *value = (expression); return SUCCESS; }

NUMBER_OF(nvmlDeviceGetTemperature, unsigned, number("temperature", 61))
NUMBER_OF(nvmlDeviceGetClockInfo, unsigned, what == 1 ? 2520 : 10501)
NUMBER_OF(nvmlDeviceGetPcieThroughput, unsigned, what == 0 ? 2000 : 3000)
NUMBER(nvmlDeviceGetPowerUsage, unsigned, load(number("power_mw", 310500)))
NUMBER(nvmlDeviceGetEnforcedPowerLimit, unsigned, 450000)
NUMBER(nvmlDeviceGetFanSpeed, unsigned, 55)
NUMBER(nvmlDeviceGetCurrentClocksEventReasons, unsigned long long, number("throttle", 1))
NUMBER(nvmlDeviceGetCurrentClocksThrottleReasons, unsigned long long, number("throttle", 1))
NUMBER(nvmlDeviceGetMaxMigDeviceCount, unsigned, PARTS)

Return nvmlDeviceGetTotalEccErrors(Gpu *gpu, unsigned kind, unsigned counter, unsigned long long *count) {
    CHECK(gpu);
    (void)counter;
    *count = kind == 0 ? 5 : 1;
    return SUCCESS;
}

static Return processes(unsigned *count, ProcessInfo *list, unsigned first_pid, unsigned there) {
    unsigned room = *count;
    *count = there;
    if (!there) return SUCCESS;
    if (!list || room < there) return INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < there; i++)
        list[i] = (ProcessInfo){
            first_pid + i, number("memory_hidden", 0) ? ~0ULL : (unsigned long long)(i + 1) << 30, ~0u, ~0u};
    return SUCCESS;
}

Return nvmlDeviceGetComputeRunningProcesses_v3(Gpu *gpu, unsigned *count, ProcessInfo *list) {
    CHECK(gpu);
    return processes(count, list, number("pid", 4242), number("processes", 0));
}

Return nvmlDeviceGetComputeRunningProcesses_v2(Gpu *gpu, unsigned *count, ProcessInfo *list) {
    CHECK(gpu);
    return processes(count, list, number("pid", 4242), number("processes", 0));
}

Return nvmlDeviceGetGraphicsRunningProcesses_v3(Gpu *gpu, unsigned *count, ProcessInfo *list) {
    CHECK(gpu);
    return processes(count, list, 9000, number("drawing", 0));
}

Return nvmlDeviceGetMigMode(Gpu *gpu, unsigned *now, unsigned *later) {
    CHECK(gpu);
    if (gpu->part >= 0 || number("mig", -1) < 0) return NOT_SUPPORTED;
    *now = *later = number("mig", 0) > 0;
    return SUCCESS;
}

Return nvmlDeviceGetMigDeviceHandleByIndex(Gpu *gpu, unsigned index, Gpu **part) {
    CHECK(gpu);
    if (index >= number("mig", 0)) return NOT_FOUND;
    parts[gpu->index][index] = (Gpu){gpu->index, (int)index};
    *part = &parts[gpu->index][index];
    return SUCCESS;
}
