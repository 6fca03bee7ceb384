/* A module that needs a library (dependency.c), which the dynamic loader cannot find once the module is
 * copied to another folder. The module is not a valid backend either: it lacks the table. */
int hs_test_dependency(void);
__attribute__((visibility("default"))) int hs_test_dependent(void);

int hs_test_dependent(void)
{
    return hs_test_dependency();
}
